"""The modules of the made-up family, written as plainly as possible."""

from __future__ import annotations

import torch
from torch import nn

from tessera.models.vision.encoder import TileEncoder
from tests.families.quill.config import SiglipConfig


class Block(nn.Module):
    """Pre-norm attention and MLP with a tanh GELU."""

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = (
            nn.Linear(width, config.intermediate_size),
            nn.Linear(config.intermediate_size, width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.qkv(self.norm_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.down(nn.functional.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class SiglipEncoder(TileEncoder):
    """Every patch becomes a state; there is no class token to drop."""

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__()
        self.config = config
        self.patches = (config.image_size // config.patch_size) ** 2
        self.patch_embedding = nn.Conv2d(3, config.hidden_size, config.patch_size, stride=config.patch_size)
        self.position_embedding = nn.Parameter(torch.zeros(self.patches, config.hidden_size))
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.last_norm = nn.LayerNorm(config.hidden_size)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.patch_embedding(pixels).flatten(2).transpose(1, 2) + self.position_embedding
        for layer in self.layers:
            x = layer(x)
        return self.last_norm(x)


class QueryConnector(nn.Module):
    """Learned queries attend to the states of a tile once."""

    def __init__(self, vision_width: int, width: int, queries: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(queries, width, generator=torch.Generator().manual_seed(0)))
        self.key, self.value = nn.Linear(vision_width, width), nn.Linear(vision_width, width)
        self.out = nn.Linear(width, width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        query = self.query.expand(len(states), -1, -1)
        seen = nn.functional.scaled_dot_product_attention(query, self.key(states), self.value(states))
        return self.out(seen)
