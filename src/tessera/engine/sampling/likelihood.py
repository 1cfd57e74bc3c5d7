"""How likely the model held the tokens that were chosen, and the best ones in their place."""

from collections.abc import Sequence

import torch

from tessera.engine.completion import TokenLogprob


def tell_rows(
    scores: torch.Tensor, tokens: Sequence[int], tops: Sequence[int | None]
) -> list[TokenLogprob | None]:
    """For every row of raw scores [B, V] its token's log-probability and the `tops` best; None where None."""
    told: list[TokenLogprob | None] = [None] * len(tokens)
    asking = [row for row, count in enumerate(tops) if count is not None]
    if not asking:
        return told
    logs = scores[asking].float().log_softmax(-1)
    chosen = logs.gather(-1, torch.tensor([tokens[row] for row in asking], device=logs.device)[:, None])
    best, ids = logs.topk(max(tops[row] or 0 for row in asking))
    for row, logprob, values, names in zip(
        asking, chosen[:, 0].tolist(), best.tolist(), ids.tolist(), strict=True
    ):
        pairs = tuple(zip(names, values, strict=True))[: tops[row]]
        told[row] = TokenLogprob(tokens[row], logprob, pairs)
    return told
