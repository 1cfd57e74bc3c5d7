"""Features into the token stream, or an error: never a trimmed feature, never a zeroed loss."""

import torch

VISUAL = ("<IMG_CONTEXT>", "visual features", "the tiles of these samples do not belong to these ids")
SOUND = ("<AUDIO_CONTEXT>", "features of sounds", "the sounds of these samples do not belong to these ids")
"""Placeholder, features and what is wrong where they differ, for messages."""


def fuse(
    embeddings: torch.Tensor,
    ids: torch.Tensor,
    features: torch.Tensor,
    token_id: int,
    words: tuple[str, str, str] = VISUAL,
) -> torch.Tensor:
    """Overwrite the placeholders' embeddings [T, D] with features [M, D], in order. Ids int64 [T] may lie on
    the CPU.

    Raises ValueError with both counts when placeholders and features differ: carrying on would train or
    answer on a shifted picture or sound.
    """
    slots = ids == token_id
    marks = int(slots.sum())  # ids that still lie on the CPU spare the device a wait
    if marks != len(features):
        placeholder, what, wrong = words
        raise ValueError(
            f"{marks} {placeholder} tokens (id {token_id}) in the stream but {len(features)} {what}: "
            f"{wrong}; encode both in one call"
        )
    return embeddings.masked_scatter(slots[:, None].to(embeddings.device), features.to(embeddings.dtype))
