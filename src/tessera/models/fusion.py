"""Visual features into the token stream, or an error: never a trimmed feature, never a zeroed loss."""

import torch


def fuse(
    embeddings: torch.Tensor, ids: torch.Tensor, features: torch.Tensor, image_token_id: int
) -> torch.Tensor:
    """Overwrite the placeholders' embeddings [T, D] with visual features [M, D], in order. Ids int64 [T] may
    lie on the CPU.

    Raises ValueError with both counts when placeholders and features differ: carrying on would train or
    answer on a shifted picture.
    """
    slots = ids == image_token_id
    marks = int(slots.sum())  # ids that still lie on the CPU spare the device a wait
    if marks != len(features):
        raise ValueError(
            f"{marks} <IMG_CONTEXT> tokens (id {image_token_id}) in the stream but {len(features)} visual "
            "features: the tiles of these samples do not belong to these ids; encode both in one call"
        )
    return embeddings.masked_scatter(slots[:, None].to(embeddings.device), features.to(embeddings.dtype))
