"""A small mask decoder: two-way attention between a link's states and a picture's patches, then upsampling.

The form is that of SAM's decoder (Kirillov et al. 2023, section A), without its picture encoder and prompts.
`M` masks, `N` states of a link, `W` width, `h`, `w` patches of the picture.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from tessera.models.links.config import MaskDecoderConfig

FASTEST = 32.0
"""Half turns that the fastest position channel makes from one edge of a picture to the other."""


class _Attention(nn.Module):
    """Queries [M, A, W] look at keys [M, B, W] that carry values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.o_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        parts = (self.q_proj(query), self.k_proj(key), self.v_proj(value))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        out = F.scaled_dot_product_attention(q, k, v)
        result: torch.Tensor = self.o_proj(out.transpose(1, 2).flatten(2))
        return result


class TwoWayBlock(nn.Module):
    """States look at each other and at the patches, then the patches at the states; a norm behind each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.among, self.to_picture, self.to_states = (_Attention(width, heads) for _ in range(3))
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))

    def forward(
        self, states: torch.Tensor, picture: torch.Tensor, places: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """States [M, N, W] and patches [M, h * w, W], both changed; places [h * w, W] of the patches."""
        states = self.norms[0](states + self.among(states, states, states))
        states = self.norms[1](states + self.to_picture(states, picture + places, picture))
        states = self.norms[2](states + self.mlp(states))
        picture = self.norms[3](picture + self.to_states(picture + places, states, states))
        return states, picture


class MaskDecoder(nn.Module):
    """Projected states of links and the map of a picture to logits of masks. vision_width: of the map."""

    def __init__(self, config: MaskDecoderConfig, vision_width: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.picture = nn.Sequential(nn.LayerNorm(vision_width), nn.Linear(vision_width, width))
        self.token = nn.Parameter(torch.empty(1, 1, width).normal_(0, 0.02))
        """Stands in front of the states; what becomes of it is compared with every pixel."""
        self.blocks = nn.ModuleList(TwoWayBlock(width, config.heads) for _ in range(config.layers))
        steps = int(math.log2(config.scale))
        widths = [max(width >> step, 8) for step in range(steps + 1)]
        self.upsample = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 2, 2) for before, after in zip(widths, widths[1:], strict=False)
        )
        self.compare = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, widths[-1] + 1))

    def forward(self, states: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
        """Projected states [M, N, W] to logits [M, h*s, w*s]; maps [M, h, w, D_vision], or [h, w, D_vision]
        of a picture that all are about."""
        rows, columns = picture.shape[-3:-1]
        patches = self.picture(picture.to(self.token).flatten(-3, -2))
        places = positions(rows, columns, patches.shape[-1]).to(patches)
        patches = patches.expand(len(states), -1, -1)
        states = torch.cat((self.token.expand(len(states), -1, -1), states.to(patches)), dim=1)
        for block in self.blocks:
            states, patches = block(states, patches, places)
        pixels = patches.transpose(1, 2).unflatten(2, (rows, columns))
        for layer in self.upsample:
            pixels = F.gelu(layer(pixels))
        weights, bias = self.compare(states[:, 0]).split((pixels.shape[1], 1), dim=-1)
        return torch.einsum("mc,mchw->mhw", weights, pixels) + bias[..., None]


def positions(rows: int, columns: int, width: int) -> torch.Tensor:
    """Where the middle of each patch lies, float32 [rows * columns, W]: sines and cosines of x and of y."""
    speeds = math.pi * FASTEST ** torch.linspace(0, 1, width // 4)
    across, down = ((torch.arange(count) + 0.5) / count for count in (columns, rows))
    angles = (places[:, None] * speeds for places in (across, down))
    waves = [torch.cat((torch.sin(angle), torch.cos(angle)), -1) for angle in angles]
    right = waves[0].expand(rows, columns, -1)
    below = waves[1][:, None].expand(rows, columns, -1)
    return torch.cat((right, below), dim=-1).flatten(0, 1)
