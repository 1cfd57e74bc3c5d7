"""InternViT: patches, class token, absolute positions, pre-norm blocks with layer scale, no final norm.

Source: docs/facts/architecture.md. `N` tiles, `S` side in pixels, `P` patches per tile, `D` width.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from tessera.models.config import VisionConfig
from tessera.models.vision.encoder import TileEncoder
from tessera.nn.attention.api import Attend
from tessera.nn.attention.layout import Packed
from tessera.nn.linear import scaled_linear
from tessera.nn.mlp import MLP
from tessera.nn.norm import RMSNorm, make_norm
from tessera.nn.recompute import Recompute, run_block


class PatchEmbedding(nn.Module):
    """Pixels to patch vectors. The convolution has stride = kernel, so it is one matrix product."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch = config.patch_size
        self.grid = config.grid
        self.class_embedding = nn.Parameter(torch.empty(1, 1, config.hidden_size).normal_(0, 0.02))
        self.patch_embedding = nn.Conv2d(3, config.hidden_size, self.patch, stride=self.patch)
        positions = torch.empty(1, 1 + self.grid**2, config.hidden_size)
        self.position_embedding = nn.Parameter(positions.normal_(0, 0.02))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised pixels [N, 3, S, S] to [N, 1 + P, D]."""
        count, channels, height, width = pixels.shape
        rows, columns, p = height // self.patch, width // self.patch, self.patch
        patches = pixels.view(count, channels, rows, p, columns, p).permute(0, 2, 4, 1, 3, 5)
        flat = patches.reshape(count, rows * columns, channels * p * p)
        embedded = F.linear(flat, self.patch_embedding.weight.flatten(1), self.patch_embedding.bias)
        tokens = torch.cat((self.class_embedding.expand(count, -1, -1).to(embedded.dtype), embedded), dim=1)
        return tokens + self.positions(rows, columns).to(tokens.dtype)

    def positions(self, rows: int, columns: int) -> torch.Tensor:
        """[1, 1 + rows * columns, D]: the trained grid, bicubically resized when another one is asked for."""
        if (rows, columns) == (self.grid, self.grid):
            return self.position_embedding
        return resize_positions(self.position_embedding, self.grid, rows, columns)


def resize_positions(embedding: torch.Tensor, grid: int, rows: int, columns: int) -> torch.Tensor:
    """Position embedding [1, 1 + grid^2, D] to [1, 1 + rows*columns, D]; class part kept
    (docs/facts/architecture.md)."""
    patch_part = embedding[:, 1:].float().reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(patch_part, size=(rows, columns), mode="bicubic", align_corners=False)
    flat = resized.permute(0, 2, 3, 1).reshape(1, rows * columns, -1)
    return torch.cat((embedding[:, :1], flat.to(embedding.dtype)), dim=1)


class VisionAttention(nn.Module):
    """Bidirectional attention with a fused qkv; QK-norm runs over the full width, not per head."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.qkv = nn.Linear(width, 3 * width, bias=config.qkv_bias)
        self.proj = nn.Linear(width, width)
        self.attend = Attend()
        self.q_norm: nn.Module = nn.Identity()
        self.k_norm: nn.Module = nn.Identity()
        if config.qk_normalization:
            self.q_norm = RMSNorm(width, config.layer_norm_eps)
            self.k_norm = RMSNorm(width, config.layer_norm_eps)

    def forward(self, x: torch.Tensor, layout: Packed, scale: torch.Tensor | None = None) -> torch.Tensor:
        """[N, 1 + P, D] to [N, 1 + P, D] times `scale` [D], each tile a sequence of the layout."""
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).flatten(0, 1)
            for part in (self.q_norm(query), self.k_norm(key), value)
        )
        out = self.attend(q, k, v, layout)  # [N * (1 + P), H, C]
        return scaled_linear(self.proj, out.flatten(1).view(x.shape), scale)


class VisionBlock(nn.Module):
    """Pre-norm block; each branch is scaled per channel and may be dropped per tile in training."""

    def __init__(self, config: VisionConfig, drop_path: float) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.attn = VisionAttention(config)
        self.mlp = MLP(width, config.intermediate_size)
        self.norm1 = make_norm(config.norm_type, width, eps)
        self.norm2 = make_norm(config.norm_type, width, eps)
        self.ls1 = nn.Parameter(torch.full((width,), config.initializer_factor))
        self.ls2 = nn.Parameter(torch.full((width,), config.initializer_factor))
        self.drop_path = drop_path

    def forward(self, x: torch.Tensor, layout: Packed) -> torch.Tensor:
        """[N, 1 + P, D] to [N, 1 + P, D], each tile a sequence of the layout."""
        x = x + self._maybe_drop(self.attn(self.norm1(x), layout, self.ls1))
        return x + self._maybe_drop(self.mlp(self.norm2(x), self.ls2))

    def _maybe_drop(self, branch: torch.Tensor) -> torch.Tensor:
        if not self.training or self.drop_path == 0.0:
            return branch
        keep = 1.0 - self.drop_path
        kept = torch.rand(len(branch), 1, 1, device=branch.device, dtype=branch.dtype) < keep
        return branch * kept / keep


class VisionTransformer(TileEncoder):
    """The encoder. `select_layer` names the state that `encode` gives; later layers are not run."""

    def __init__(self, config: VisionConfig, select_layer: int = -1) -> None:
        super().__init__()
        self.config, self.select_layer = config, select_layer
        self.patches = config.grid**2
        self.recompute: Recompute = "none"
        # On the CPU also when the model is made on the meta device.
        rates = torch.linspace(0, config.drop_path_rate, config.num_hidden_layers, device="cpu").tolist()
        self.embeddings = PatchEmbedding(config)
        self.layers = nn.ModuleList(VisionBlock(config, rate) for rate in rates)

    def states(
        self, pixels: torch.Tensor, wanted: Sequence[int], kept: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Normalised pixels float [N, 3, H, W] to the `wanted` states [N, 1 + P, D]; entry 0 of P + 1 is the
        class token.

        Numbers count the depth + 1 states: 0 is the embeddings, -1 the last layer. What lies above the
        highest one is not run. `kept` int64 [N, K]: the patches of each picture that go in, None for all.
        ValueError as `state_number` raises it.
        """
        numbers = [self.state_number(one) for one in wanted]
        x: torch.Tensor = self.embeddings(pixels)
        if kept is not None:
            rows = torch.arange(len(x), device=x.device)[:, None]
            x = torch.cat((x[:, :1], x[rows, 1 + kept]), 1)
        layout = Packed((x.shape[1],) * len(x), causal=False)
        found = {0: x} if 0 in numbers else {}
        for number, layer in enumerate(self.layers[: max(numbers)], 1):
            x = run_block(layer, self.recompute, x, layout)
            if number in numbers:
                found[number] = x
        return [found[number] for number in numbers]

    def state_number(self, layer: int) -> int:
        """A number from 0 to the depth. ValueError for one that this depth doesn't have."""
        depth = len(self.layers)
        if not -depth - 1 <= layer <= depth:
            raise ValueError(
                f"layers (select_layer) = {layer}: this ViT has states 0..{depth} (or -1..-{depth + 1})"
            )
        return layer % (depth + 1)

    def forward(self, pixels: torch.Tensor, select_layer: int = -1) -> torch.Tensor:
        """Normalised pixels float [N, 3, H, W] to one of `states` [N, 1 + P, D]."""
        return self.states(pixels, (select_layer,))[0]

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised pixels [N, 3, S, S] to patch states [N, P, D], the class token dropped."""
        states: torch.Tensor = self(pixels, self.select_layer)
        return states[:, 1:]
