"""LLaVA's projector: each patch state alone through linears with GELU between them."""

import torch
from torch import nn


class Projector(nn.Sequential):
    """`depth` linears, the first from the ViT's width; a LayerNorm in front with `norm`.

    Parts are numbered as LLaVA numbers them, so that `0`, `2` ... are the linears without the norm.
    """

    def __init__(self, vision_width: int, width: int, depth: int = 2, norm: bool = False) -> None:
        layers: list[nn.Module] = [nn.LayerNorm(vision_width)] if norm else []
        layers.append(nn.Linear(vision_width, width))
        for _ in range(depth - 1):
            layers += [nn.GELU(), nn.Linear(width, width)]
        super().__init__(*layers)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Patch states [N, P, D_vision] to features [N, P, D]."""
        features: torch.Tensor = super().forward(states)
        return features
