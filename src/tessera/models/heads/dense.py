"""Classes of pixels from patch features: a linear head, and UperNet on levels made of four states.

Widths, pools and drop-outs: docs/facts/backbone.md; UperNet: arXiv 1807.10221. Maps are [N, D, h, w].
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

POOLS = (1, 2, 3, 6)
"""Cells along a side that the pyramid averages the top level into."""


class LinearDense(nn.Module):
    """BatchNorm and one product a patch."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.classify = classifier(width, classes)

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The last of some maps to scores [N, K, h, w]; there is no second head."""
        return self.classify(self.norm(maps[-1])), None


class UperNet(nn.Module):
    """A pyramid on four states of a plain ViT, from four times its grid down to half of it; and, in training,
    a second head on one level, which helps the first to learn."""

    def __init__(self, width: int, classes: int, channels: int, beside: int, dropout: float) -> None:
        super().__init__()
        self.beside = beside
        self.levels = nn.ModuleList((_four_times(width), _twice(width), nn.Identity(), nn.MaxPool2d(2, 2)))
        self.pools = nn.ModuleList(_convolution(width, channels, 1) for _ in POOLS)
        self.top = _convolution(width + len(POOLS) * channels, channels, 3)
        self.laterals = nn.ModuleList(_convolution(width, channels, 1) for _ in range(3))
        self.smooth = nn.ModuleList(_convolution(channels, channels, 3) for _ in range(3))
        self.joined = _convolution(4 * channels, channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = classifier(channels, classes)
        self.second = nn.Sequential(
            _convolution(width, channels, 3), nn.Dropout2d(dropout), classifier(channels, classes)
        )

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Four maps, the lowest first, to scores [N, K, 4h, 4w], and those of the second head in training."""
        levels = [level(one) for level, one in zip(self.levels, maps, strict=True)]
        sides = [lateral(one) for lateral, one in zip(self.laterals, levels, strict=False)]
        sides.append(self._pyramid(levels[-1]))
        for lower in (2, 1, 0):
            sides[lower] = sides[lower] + resized(sides[lower + 1], sides[lower])
        outs = [smooth(one) for smooth, one in zip(self.smooth, sides, strict=False)] + [sides[-1]]
        whole = self.joined(torch.cat([resized(one, outs[0]) for one in outs], dim=1))
        second = self.second(levels[self.beside]) if self.training else None
        return self.classify(self.dropout(whole)), second

    def _pyramid(self, level: torch.Tensor) -> torch.Tensor:
        averages = [
            resized(pool(F.adaptive_avg_pool2d(level, cells)), level)
            for cells, pool in zip(POOLS, self.pools, strict=True)
        ]
        top: torch.Tensor = self.top(torch.cat((level, *averages), dim=1))
        return top


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a map [N, D, h, w]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def classifier(width: int, classes: int) -> nn.Conv2d:
    """A product a patch, drawn as narrow as published heads begin."""
    made = nn.Conv2d(width, classes, 1)
    nn.init.normal_(made.weight, std=0.01)
    nn.init.zeros_(made.bias)  # type: ignore[arg-type]
    return made


def resized(scores: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A map at the height and width of another, bilinear between the middles of pixels."""
    return F.interpolate(scores, like.shape[-2:], mode="bilinear", align_corners=False)


def _convolution(width: int, channels: int, side: int) -> nn.Sequential:
    made = nn.Conv2d(width, channels, side, padding=side // 2, bias=False)
    return nn.Sequential(made, nn.BatchNorm2d(channels), nn.ReLU())


def _twice(width: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(width, width, 2, 2)


def _four_times(width: int) -> nn.Sequential:
    return nn.Sequential(_twice(width), ChannelNorm(width, eps=1e-6), nn.GELU(), _twice(width))
