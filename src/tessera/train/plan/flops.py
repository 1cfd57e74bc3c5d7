"""Useful FLOPs of training: products that the mathematics needs, whatever is computed a second time.

A product with weights takes two FLOPs for each weight and row on the way forward, as many towards its input
where a gradient is wanted there, and as many towards its weights where they are trained. Attention takes four
for each channel of a pair of tokens that may see each other, and twice as many backward.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tessera.models.config import ModelConfig
from tessera.models.initialise import without_memory
from tessera.models.routing import is_visual
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.nn.experts.mixture import Experts
from tessera.nn.lora import LoRALinear
from tessera.nn.quantised import QuantisedLinear
from tessera.packing.planning.balance import Work
from tessera.train.plan.shape import SAMPLE, is_block, is_uniform, sampled_stack, shortened, stage_model
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


def effort_of(config: ModelConfig, rules: Sequence[Rule], model: VLM | None = None) -> Effort:
    """Of a stage with these rules; `model` as `stage_model` gives it.

    One tile and a few tokens pass through the model on the meta device, one block for many: which products
    need gradients of their inputs shows there.
    """
    model = model or stage_model(config, rules)
    assign(model, rules)
    model, left_out = shortened(model) if is_uniform(model, rules) else (model, dict[str, int]())
    tokens = config.tokens_per_tile + 2 * ROWS
    ids = torch.full((tokens,), (config.image_token_id + 1) % config.decoder.vocab_size)
    ids[: config.tokens_per_tile] = config.image_token_id
    rows = torch.arange(tokens - ROWS, tokens, device="meta")
    count = _Count(tokens, left_out, config.tokens_per_tile if model.decoder.routes else 0)
    with count.watching(model), torch.enable_grad():
        features = count.of_tile(model)
        model.decoder.lm_head(model(ids, Packed((tokens,)), features=features, rows=rows))
    pair = 4.0 * config.decoder.num_attention_heads * config.decoder.head_width
    factors = [3.0 if wants else 1.0 for wants in count.wants]
    many = factors[SAMPLE] * left_out.get("decoder", 0)
    return Effort(
        tile=count.flops["tile"],
        token=count.flops["token"] / tokens,
        supervised=count.flops["trained"] / ROWS,
        pair=pair * (sum(factors[:-1]) + many),
        last_pair=pair * factors[-1],
    )


def forward_work(config: ModelConfig) -> Work:
    """FLOPs of a forward pass, the vocabulary apart, by which packs are balanced over ranks.

    In the decoder they are two for each weight of a matrix that a token meets, and four for each channel of
    an attended pair.
    """
    with without_memory():
        model, left_out = shortened(VLM(config))
    count = _Count(0, left_out)
    with torch.no_grad(), count.watching(model):
        count.of_tile(model)
    decoder = config.decoder
    weights = decoder.weights().int8_entries - decoder.idle_weights()
    return Work(
        tile=count.flops["tile"],
        token=float(2 * weights),
        pair=float(4 * decoder.num_hidden_layers * decoder.num_attention_heads * decoder.head_width),
    )


class _Count:
    """FLOPs of a pass, forward and backward: of linears by their sizes, of the rest of a tile by PyTorch."""

    def __init__(self, tokens: int, left_out: Mapping[str, int], pictures: int = 0) -> None:
        """`pictures`: those of the tokens that take visual experts."""
        self.tokens, self.left_out, self.pictures = tokens, left_out, pictures
        self.flops: Counter[str] = Counter()
        self.wants: list[bool] = []
        """Whether gradients flow back through each block of the decoder."""
        self._counter = FlopCounterMode(display=False)
        self._known = 0
        """FLOPs of this pass whose backward ones are counted, too."""

    def of_tile(self, model: VLM) -> torch.Tensor:
        """Features of a tile; besides blocks and linears its patches are embedded, which asks no gradient."""
        side = model.config.tile_side
        with self._counter:
            features = model.see(torch.empty(1, side, side, 3, dtype=torch.uint8, device="meta"))
        trained = torch.is_grad_enabled() and model.vision.like.requires_grad
        self.flops["tile"] += (self._counter.get_total_flops() - self._known) * (1 + trained)
        return features

    @contextmanager
    def watching(self, model: VLM) -> Iterator[None]:
        """Look at every linear of the model, and at every block."""
        handles = []
        for name, module in model.named_modules():
            part, times = name.partition(".")[0], 1 + self.left_out.get(sampled_stack(f"{name}."), 0)
            if isinstance(module, Experts):
                handles.append(module.register_forward_hook(self._experts(times)))
            elif isinstance(module, nn.Linear | QuantisedLinear | LoRALinear):
                expert = is_visual(name)
                handles.append(module.register_forward_hook(self._linear(part == "decoder", times, expert)))
            elif is_block(name):
                handles += self._hooks_of_block(module, part == "decoder", times)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hooks_of_block(self, block: nn.Module, of_stream: bool, times: int) -> list[Any]:
        before = [0]

        def begin(*_: Any) -> None:
            before[0] = self._rest()

        def end(_: nn.Module, __: Any, out: torch.Tensor) -> None:
            if of_stream:
                self.wants.append(out.requires_grad)
            else:
                attention = self._rest() - before[0]
                self._known += attention
                self.flops["tile"] += times * attention * (3 if out.requires_grad else 1)

        return [block.register_forward_pre_hook(begin), block.register_forward_hook(end)]

    def _rest(self) -> int:
        return self._counter.get_total_flops() - self._known

    def _experts(self, times: int) -> Any:
        def hook(module: Experts, inputs: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
            x, chosen = inputs[:2]
            kind = "token" if len(x) == self.tokens else "trained"
            for stack in (module.gate_up_proj, module.down_proj):
                back = _backward(stack, x.requires_grad) if torch.is_grad_enabled() else 0
                each = (_forward(stack) + back) // module.count
                self.flops[kind] += times * chosen.numel() * each

        return hook

    def _linear(self, of_stream: bool, times: int, expert: bool) -> Any:
        def hook(module: Any, inputs: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
            x = inputs[0]
            rows, once = x.numel() // x.shape[-1], _forward(module)
            back = _backward(module, x.requires_grad) if torch.is_grad_enabled() else 0
            each = times * (once + back)
            if of_stream:
                self._of_stream(rows, each, expert)
            else:
                self.flops["tile"] += rows * each
                self._known += rows * once

        return hook

    def _of_stream(self, rows: int, each: int, expert: bool) -> None:
        """A linear of the decoder. A token of a picture takes an expert instead of what text takes: a tile
        is told the difference. An expert that has no token takes part with a row of zeros."""
        if expert:
            self.flops["tile"] += self.pictures * each if rows == self.pictures else 0
        elif self.pictures and rows == self.tokens - self.pictures:
            self.flops["token"] += self.tokens * each
            self.flops["tile"] -= self.pictures * each
        else:
            self.flops["token" if rows == self.tokens else "trained"] += rows * each


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
