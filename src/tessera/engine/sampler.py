"""From scores to the next token: penalty, temperature, top-k, top-p, in transformers' order, then one draw.

Every request draws from its own generator, one number a token, so that its answer does not depend on what
else is in the batch. The draw inverts the cumulative distribution, which needs no second random number.
"""

import torch

from tessera.engine.request import Sampling

OFF = float("-inf")


def make_generator(sampling: Sampling) -> torch.Generator:
    """The random stream of one request, on the CPU on every machine."""
    return torch.Generator().manual_seed(sampling.seed)


def penalise(scores: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Scores float [V] with those of `seen` ids int64 [n] made less likely, each once."""
    past = scores[seen]
    return scores.scatter(0, seen, torch.where(past < 0, past * penalty, past / penalty))


def keep_top_k(scores: torch.Tensor, k: int) -> torch.Tensor:
    """Scores float [V], all below the k-th best switched off; ties with it stay."""
    if k >= len(scores):
        return scores
    return scores.masked_fill(scores < scores.topk(k).values[-1], OFF)


def keep_top_p(scores: torch.Tensor, p: float) -> torch.Tensor:
    """Scores float [V] of the smallest set of best tokens that reaches probability p; at least one stays."""
    ascending, order = scores.sort()
    dropped = ascending.softmax(-1).cumsum(-1) <= 1 - p
    dropped[-1] = False
    return scores.masked_fill(torch.zeros_like(dropped).scatter(0, order, dropped), OFF)


def shape_scores(scores: torch.Tensor, sampling: Sampling, seen: torch.Tensor) -> torch.Tensor:
    """Raw scores float [V] to those that are drawn from; `seen` int64 are prompt and answer so far."""
    scores = scores.float()
    if sampling.repetition_penalty != 1.0:
        scores = penalise(scores, seen, sampling.repetition_penalty)
    if sampling.temperature == 0.0:
        return scores
    scores = scores / sampling.temperature
    if sampling.top_k:
        scores = keep_top_k(scores, sampling.top_k)
    return keep_top_p(scores, sampling.top_p) if sampling.top_p < 1.0 else scores


def choose(scores: torch.Tensor, sampling: Sampling, seen: torch.Tensor, generator: torch.Generator) -> int:
    """The next token for one row of raw scores float [V]."""
    shaped = shape_scores(scores, sampling, seen)
    if sampling.temperature == 0.0:
        return int(shaped.argmax())
    heights = shaped.double().softmax(-1).cumsum(-1)
    point = torch.rand((), generator=generator, dtype=torch.float64).to(heights.device) * heights[-1]
    return min(int(torch.searchsorted(heights, point, right=True)), len(heights) - 1)


def is_plain(sampling: Sampling) -> bool:
    """Whether the choice is the best raw score, so that a whole batch can be decided at once."""
    return sampling.temperature == 0.0 and sampling.repetition_penalty == 1.0


def finite_rows(scores: torch.Tensor) -> torch.Tensor:
    """Which rows of raw scores float [B, V] hold nothing but numbers, bool [B]: no other row can be chosen
    from. In one with NaN the first or the last token would win every time."""
    return scores.isfinite().all(-1)


def forbid(scores: torch.Tensor, image_token_id: int, vocabulary: int) -> torch.Tensor:
    """Scores [..., V], in place, without `<IMG_CONTEXT>` and without padded rows that no token has.

    A generated `<IMG_CONTEXT>` would ask for a picture that is not there.
    """
    scores[..., image_token_id] = OFF
    scores[..., vocabulary:] = OFF
    return scores
