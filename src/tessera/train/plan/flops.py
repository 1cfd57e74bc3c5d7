"""Useful FLOPs of training: products that the mathematics needs, whatever is computed a second time.

A product with weights takes two FLOPs for each weight and row on the way forward, as many towards its input
where a gradient is wanted there, and as many towards its weights where they are trained. Attention takes four
for each channel of a pair of tokens that may see each other, and twice as many backward.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tessera.models.config import ModelConfig
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.nn.lora import LoRALinear
from tessera.nn.quantised import QuantisedLinear
from tessera.packing.planning.balance import Work
from tessera.train.plan.shape import stage_model
from tessera.train.update.rules import Rule, assign

ROWS = 3
"""Supervised tokens of the stream that is tried: another number than its tokens."""


@dataclass(frozen=True)
class Effort:
    """Useful FLOPs of a stage for one of each: tile, token, supervised token, pair of tokens."""

    tile: float
    token: float
    supervised: float
    """What a supervised token takes beside being a token: the end of the last block, and the vocabulary."""
    pair: float
    """In all blocks but the last."""
    last_pair: float
    """In the last block, where supervised tokens alone ask."""

    def of(self, *, tiles: float, tokens: float, pairs: float, supervised: float) -> float:
        """FLOPs of a step; `pairs` is the sum of n (n + 1) / 2 over samples of n tokens."""
        asked = pairs * supervised / max(1, tokens)  # on the mean they see as much as others
        rows = self.tile * tiles + self.token * tokens + self.supervised * supervised
        return rows + self.pair * pairs + self.last_pair * asked


def effort_of(config: ModelConfig, rules: Sequence[Rule]) -> Effort:
    """Of a stage with these rules.

    One tile and a few tokens pass through the model on the meta device: which products need gradients of
    their inputs shows there.
    """
    model = stage_model(config, [rules], 0, "stored")
    assign(model, rules)
    tokens = config.tokens_per_tile + 2 * ROWS
    ids = torch.full((tokens,), (config.image_token_id + 1) % config.decoder.vocab_size)
    ids[: config.tokens_per_tile] = config.image_token_id
    tile = torch.empty(1, config.tile_side, config.tile_side, 3, dtype=torch.uint8, device="meta")
    rows = torch.arange(tokens - ROWS, tokens, device="meta")
    count = _Count(tokens)
    with count.watching(model), torch.enable_grad():
        model.decoder.lm_head(model(ids, Packed((tokens,)), tiles=tile, rows=rows))
    shown, decoder = _attention_of_tile(model, count), config.decoder
    pair = 4.0 * decoder.num_attention_heads * decoder.head_width
    factors = [3.0 if count.wants[id(block)] else 1.0 for block in model.decoder.layers]
    return Effort(
        tile=count.flops["tile"] + shown,
        token=count.flops["token"] / tokens,
        supervised=count.flops["trained"] / ROWS,
        pair=pair * sum(factors[:-1]),
        last_pair=pair * factors[-1],
    )


def forward_work(config: ModelConfig) -> Work:
    """FLOPs of a forward pass, the vocabulary apart, by which packs are balanced over ranks.

    Those of a tile are counted by PyTorch on a model without memory. In the decoder they are two for each
    weight of a matrix, and four for each channel of an attended pair.
    """
    side = config.tile_side
    with without_memory(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        VLM(config).see(torch.empty(1, side, side, 3, dtype=torch.uint8))
    decoder = config.decoder
    width = decoder.head_width * (2 * decoder.num_attention_heads + 2 * decoder.num_key_value_heads)
    weights = decoder.hidden_size * (width + 3 * decoder.intermediate_size)
    return Work(
        tile=float(counter.get_total_flops()),
        token=float(2 * decoder.num_hidden_layers * weights),
        pair=float(4 * decoder.num_hidden_layers * decoder.num_attention_heads * decoder.head_width),
    )


class _Count:
    """FLOPs of the products of a pass, forward and backward, for all rows of the tile or the stream."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.flops: Counter[str] = Counter()
        self.wants: dict[int, bool] = {}
        """Whether gradients flow back through a block."""
        self.forward_of_tile = 0

    @contextmanager
    def watching(self, model: VLM) -> Iterator[None]:
        """Look at every product of the model, and at every block."""
        handles = []
        for part, top in model.named_children():
            for module in top.modules():
                if isinstance(module, nn.Linear | QuantisedLinear | LoRALinear):
                    handles.append(module.register_forward_hook(self._hook(part == "decoder")))
            for block in getattr(top, "layers", ()):
                handles.append(block.register_forward_hook(self._block))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _block(self, block: nn.Module, _: Any, out: torch.Tensor) -> None:
        self.wants[id(block)] = out.requires_grad

    def _hook(self, of_stream: bool) -> Any:
        def hook(module: Any, inputs: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
            x = inputs[0]
            rows, once = x.numel() // x.shape[-1], _forward(module)
            kind = ("token" if rows == self.tokens else "trained") if of_stream else "tile"
            self.flops[kind] += rows * (once + _backward(module, x.requires_grad))
            if not of_stream:
                self.forward_of_tile += rows * once

        return hook


def _forward(module: Any) -> int:
    """FLOPs of one row; a base with factors counts for itself."""
    if isinstance(module, LoRALinear):
        return 2 * module.rank * (module.in_features + module.out_features)
    return 2 * int(module.in_features) * int(module.out_features)


def _backward(module: Any, wanted: bool) -> int:
    """FLOPs of one row towards the input, where that is `wanted`, and towards weights that are trained."""
    if isinstance(module, LoRALinear):
        to_input = 2 * module.rank * (module.out_features + (module.in_features if wanted else 0))
        return to_input + _forward(module)
    trained = isinstance(module, nn.Linear) and module.weight.requires_grad
    return _forward(module) * (wanted + trained)


def _attention_of_tile(model: VLM, count: _Count) -> float:
    """FLOPs of a tile that are no product of a linear: attention, and the embedding of its patches."""
    side = model.config.tile_side
    tile = torch.empty(1, side, side, 3, dtype=torch.uint8, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.see(tile)
    rest = counter.get_total_flops() - count.forward_of_tile
    run = [count.wants[id(block)] for block in model.vision.layers if id(block) in count.wants]
    return rest * sum(3.0 if wants else 1.0 for wants in run) / max(1, len(run))
