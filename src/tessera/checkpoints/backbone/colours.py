"""Features as colours: the three directions in which patches differ most, as red, green and blue."""

from collections.abc import Sequence

import torch

DARKEST, LIGHTEST = 0.01, 0.99
"""Shares of the patches that become 0 and 255."""
MOST = 20_000
"""Patches that the directions are found on."""


@torch.no_grad()
def feature_colours(maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Patch features [h, w, D] of several pictures to uint8 [h, w, 3]; alike patches have alike colours in
    all of them. Fewer than three directions leave colours at 0."""
    flat = torch.cat([one.flatten(0, 1) for one in maps]).float().cpu()
    mean = flat.mean(0)
    some = flat[:: max(1, len(flat) // MOST)] - mean
    _, _, directions = torch.linalg.svd(some, full_matrices=False)
    # The sign of a direction is arbitrary: the largest weight is made positive, so that runs agree.
    axes = directions[:3] * directions[:3].gather(1, directions[:3].abs().argmax(1, keepdim=True)).sign()
    values = torch.zeros(len(flat), 3)
    values[:, : len(axes)] = (flat - mean) @ axes.t()
    low, high = (values.quantile(share, dim=0) for share in (DARKEST, LIGHTEST))
    scaled = ((values - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    colours = (255 * scaled).round().to(torch.uint8)
    parts = colours.split([one.shape[0] * one.shape[1] for one in maps])
    return [part.view(*one.shape[:2], 3) for part, one in zip(parts, maps, strict=True)]
