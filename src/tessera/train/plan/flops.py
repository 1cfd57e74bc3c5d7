"""Useful floating-point operations of a step: what is computed again to spare memory doesn't count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch.utils.flop_counter import FlopCounterMode

from tessera.models.config import ModelConfig
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.nn.lora import own_name
from tessera.packing.planning.balance import Work
from tessera.train.plan.shell import skeleton
from tessera.train.update.rules import Rule, trains


def forward_work(config: ModelConfig) -> Work:
    """FLOPs of a forward pass, the vocabulary apart, by which packs are also balanced over ranks.

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


@dataclass(frozen=True)
class Effort:
    """What a model costs under some rules; products with LoRA's factors are left out, they are few.

    A part's forward pass costs one unit. Where a gradient passes through it, that is a second one, and its
    share of trained weights a third.
    """

    config: ModelConfig
    rules: tuple[Rule, ...]

    def of(self, *, tokens: int, tiles: int, pairs: int, supervised: int) -> float:
        """FLOPs of a step over packs with so many tokens, tiles, pairs of tokens that see each other (each
        pair once), and tokens that meet the vocabulary."""
        work, units = self._work, self.units
        decoder = self.config.decoder
        head = 2.0 * decoder.hidden_size * decoder.vocab_size * supervised
        seen = work.tile * tiles * units["vision"]
        # Products of attention have no weights of their own: back, each is two.
        back = 3.0 if units["decoder"] >= 2 else 1.0
        read = work.token * tokens * units["decoder"] + work.pair * pairs * back
        return seen + read + head * units["head"]

    @cached_property
    def _work(self) -> Work:
        return forward_work(self.config)

    @cached_property
    def units(self) -> Mapping[str, float]:
        """Of ViT with connector, decoder and head."""
        shares = self._trained_shares()
        reached = {
            "vision": shares["vision"] is not None,
            "decoder": any(shares[part] is not None for part in ("vision", "connector", "decoder")),
            "head": True,
        }
        return {part: 1.0 + passes + (shares[part] or 0.0) for part, passes in reached.items()}

    def _trained_shares(self) -> dict[str, float | None]:
        """Part -> share of its numbers that are trained themselves; None where not even factors are."""
        whole: dict[str, list[int]] = {part: [0, 0, 0] for part in ("vision", "connector", "decoder", "head")}
        for name, parameter in skeleton(self.config, self.rules).named_parameters():
            own, size = own_name(name), parameter.numel()
            if "embed" in own:  # read, not multiplied
                continue
            part = "head" if own.startswith("decoder.lm_head.") else own.partition(".")[0]
            learns = trains(self.rules, own)
            factor = own.rpartition(".")[2].startswith("lora_")
            counted = whole[part]
            counted[0] += 0 if factor else size
            counted[1] += size if learns and not factor else 0
            counted[2] += learns
        if self.config.decoder.tie_word_embeddings:
            whole["head"] = [1, int(trains(self.rules, "decoder.embed_tokens.weight")), 1]
        return {part: (own / size if any_ else None) for part, (size, own, any_) in whole.items()}


def effort_of(config: ModelConfig, rules: Sequence[Rule]) -> Effort:
    """Of a stage."""
    return Effort(config, tuple(rules))
