"""A vision encoder with a dense head: pixels to scores of every pixel."""

import torch
from torch import nn
from torch.nn import functional as F

from tessera.models.vision.internvit import VisionTransformer


class Segmenter(nn.Module):
    """`vision` and `head`. With `frozen` the encoder learns nothing and drops no paths."""

    def __init__(
        self, vision: VisionTransformer, head: nn.Module, layers: tuple[int, ...], frozen: bool
    ) -> None:
        super().__init__()
        self.vision, self.head, self.layers, self.frozen = vision, head, layers, frozen

    def train(self, mode: bool = True) -> "Segmenter":
        """As every module; a frozen encoder stays as it is in evaluation."""
        super().train(mode)
        if self.frozen:
            self.vision.eval()
        return self

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Normalised pixels [N, 3, H, W] to scores float32 [N, K, H, W], and those of a second head or None.

        H and W are multiples of the patch.
        """
        patch, side = self.vision.config.patch_size, pixels.shape[-2:]
        grid = (side[0] // patch, side[1] // patch)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            states = self.vision.states(pixels.to(self.vision.like.dtype), self.layers)
        maps = [state[:, 1:].transpose(1, 2).unflatten(2, grid).float() for state in states]
        first, second = self.head(maps)
        return _at(first, side), None if second is None else _at(second, side)


def _at(scores: torch.Tensor, side: torch.Size) -> torch.Tensor:
    return F.interpolate(scores, tuple(side), mode="bilinear", align_corners=False)
