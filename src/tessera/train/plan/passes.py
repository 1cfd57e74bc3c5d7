"""What a forward and a backward pass over one pack keep in memory, phase by phase.

Few blocks are computed and the rest follows: in each phase the bytes alive grow by the same number with every
block of the ViT and with every block of the decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from tessera.models.config import ModelConfig, VLMConfig
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.nn.cross_entropy import cross_entropy_sum
from tessera.nn.recompute import Recompute, set_recompute
from tessera.train.plan.live import LiveBytes, without_numbers
from tessera.train.plan.shell import Held, alike, fill_shell, skeleton

FEW = 2
"""Blocks that are computed: a first and a last one."""


@dataclass(frozen=True)
class Workload:
    """One pack: lengths of its samples in tokens, tiles of all, and supervised tokens."""

    lengths: tuple[int, ...]
    tiles: int
    supervised: int

    @property
    def tokens(self) -> int:
        """Of all samples."""
        return sum(self.lengths)

    @property
    def pairs(self) -> int:
        """Pairs of tokens that see each other."""
        return sum(length * (length + 1) // 2 for length in self.lengths)


Peak = tuple[int, int]
"""Bytes, and finished gradients among them."""


@dataclass(frozen=True)
class Passes:
    """A forward and a backward pass: of which model, over what, how."""

    config: ModelConfig
    work: Workload
    held: Held
    recompute: Recompute = "none"
    keeps_gradients: bool = True
    """Finished gradients stay in the weights' dtype; else they are counted elsewhere."""

    def peak(self) -> Peak:
        """Most bytes at once beside the weights."""
        depths = self._depths()
        if not depths or min(depths) <= FEW + 1 or not alike(self.config, self.held.rules):
            return max(self._phases().values())
        start, vision, decoder = (
            self._cut(FEW + more[0], FEW + more[1])._phases() for more in ((0, 0), (1, 0), (0, 1))
        )
        found = []
        for phase, few in start.items():
            ways = zip(few, vision[phase], decoder[phase], strict=True)
            grown = [a + (v - a) * (depths[0] - FEW) + (d - a) * (depths[1] - FEW) for a, v, d in ways]
            found.append((grown[0], grown[1]))
        return max(found)

    def _depths(self) -> tuple[int, ...]:
        """Blocks that run; none where the model is of another make."""
        config = self.config
        if not isinstance(config, VLMConfig):
            return ()
        states = config.vision.num_hidden_layers + 1
        return config.select_layer % states, config.decoder.num_hidden_layers

    def _cut(self, vision: int, decoder: int) -> Passes:
        """The same with fewer blocks."""
        assert isinstance(self.config, VLMConfig)
        config = self.config.model_copy(
            update={
                "vision": self.config.vision.model_copy(update={"num_hidden_layers": vision}),
                "decoder": self.config.decoder.model_copy(update={"num_hidden_layers": decoder}),
                "select_layer": -1,
            }
        )
        return replace(self, config=config)

    def _phases(self) -> dict[str, Peak]:
        bare = skeleton(self.config, self.held.rules)
        with without_numbers():
            model = fill_shell(bare, self.held)
            set_recompute(model, self.recompute)
            watch = LiveBytes((*model.parameters(), *model.buffers()))
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.register_post_accumulate_grad_hook(self._gradient_hook(watch))
            for name in ("vision", "decoder"):
                _mark_blocks(getattr(model, name).layers, name, watch)
            with watch:
                _loss(model, self.work).backward()  # type: ignore[no-untyped-call]
        return watch.peaks

    def _gradient_hook(self, watch: LiveBytes) -> Callable[[torch.Tensor], None]:
        def done(parameter: torch.Tensor) -> None:
            assert parameter.grad is not None
            if self.keeps_gradients:
                watch.finish(parameter.grad)
            else:
                parameter.grad = None

        return done


def _mark_blocks(blocks: nn.ModuleList, name: str, watch: LiveBytes) -> None:
    """Phases: before and behind the first and the last block, forward and backward."""
    for number, block in enumerate(blocks):
        place = "first" if number == 0 else "last" if number == len(blocks) - 1 else "middle"

        def mark(_: Any, __: Any, out: torch.Tensor, where: str = f"{name} {place}") -> None:
            watch.enter(f"behind {where}")
            if out.requires_grad:
                out.register_hook(lambda _: watch.enter(f"back in {where}"))

        block.register_forward_hook(mark)


def _loss(model: VLM, work: Workload) -> torch.Tensor:
    """As the conversation objective computes it, but that the last block is computed for all tokens."""
    config = model.config
    embeddings = model.decoder.embed(torch.zeros(work.tokens, dtype=torch.int64))
    if work.tiles:
        side = config.tile_side
        features = model.see(torch.zeros(work.tiles, side, side, 3, dtype=torch.uint8))
        slots = torch.zeros(work.tokens, 1, dtype=torch.bool)
        embeddings = embeddings.masked_scatter(slots, features.flatten(0, 1))
    hidden = model.decoder(embeddings, Packed(work.lengths))
    rows = hidden.index_select(0, torch.zeros(work.supervised, dtype=torch.int64))
    targets = torch.zeros(work.supervised, dtype=torch.int64)
    weights = torch.ones(work.supervised)
    decoder = config.decoder
    return cross_entropy_sum(model.decoder.lm_head, rows, targets, weights, decoder.vocab_size)
