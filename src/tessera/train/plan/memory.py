"""Bytes of a training step on one device at its fullest instant, by what they are held for.

A short trial is carried on to the full depth: every block of a stack holds as much as the next one, so what
one of them keeps is counted for all that were left out. What several devices share is reckoned from that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tessera.train.objective.contract import Beginnable
from tessera.train.plan.live import HOST, Held, Moment
from tessera.train.plan.shape import is_uniform, quantised_bytes, shortened, with_factors
from tessera.train.plan.subject import Batch, Subject
from tessera.train.plan.trial import IN_PASSING, REPEATED, UPDATE, Conditions, try_passes, try_update
from tessera.train.recipe import Recipe, Stage
from tessera.train.update.optimizers import largest_parts
from tessera.train.update.rules import assign

SHARED = ("frozen weights", "trained weights", "LoRA factors", "masters", "optimizer", "gradients")
"""What FSDP spreads over processes. Quantised weights stay whole."""
IN_HEAP = "in the heap"
ASIDE = {HOST, IN_HEAP}
"""Kinds that are no bytes of the device, or counted twice."""
PASSING = ("activations", "logits", "backward", "gradients", "update")
"""How kinds begin that come and go in a step."""
GATHERED, FROZEN, QUANTISED = "gathered from shards", "frozen weights", "quantised weights"
REFERENCE = "weights of the reference"
DECIDING = {"rules", "objective", "optimizer", "recompute", "drop_path"}
"""Fields of a stage that decide what a step on given packs holds."""
Bytes = Counter[str]
"""By what they are held for."""


@dataclass(frozen=True)
class StepMemory:
    """What a step holds on a device at each of its moments, bytes by kind."""

    moments: Mapping[Moment, Bytes]

    @property
    def fullest(self) -> Moment:
        """The moment of the peak."""
        return max(self.moments, key=lambda moment: _on_device(self.moments[moment]))

    @property
    def parts(self) -> dict[str, int]:
        """At the fullest instant, the largest first; what lies with the host left out."""
        held = self.moments[self.fullest].most_common()
        return {kind: size for kind, size in held if size > 0 and kind not in ASIDE}

    @property
    def total(self) -> int:
        """Bytes on the device at the fullest instant."""
        return sum(self.parts.values())

    def gaps(self, share: float) -> int:
        """Bytes that the heap of a process on a CPU holds besides: `share` of what the forward passes leave,
        less what lies in these gaps since."""
        forward = (held[IN_HEAP] for moment, held in self.moments.items() if "forward" in moment)
        grown = int((1 + share) * max(forward, default=0))
        return max(0, grown - self.moments[self.fullest][IN_HEAP])

    @property
    def host(self) -> int:
        """Bytes that lie with the host beside an accelerator."""
        return max(held[HOST] for held in self.moments.values())


Known = dict[tuple[object, ...], StepMemory]


def step_memory(
    recipe: Recipe,
    index: int,
    subject: Subject,
    conditions: Conditions,
    world: int = 1,
    known: Known | None = None,
) -> StepMemory:
    """Of a step of a stage of `recipe`, which trains `subject`, on each of `world` devices.

    `known` keeps trials, for callers that ask again with other devices or quantised bases.
    """
    stage, parallel = recipe.stages[index], recipe.parallel
    shards = parallel.shards(world) * parallel.sequence if subject.shared else 1
    model = with_factors(subject.model(), stage.rules)
    data = max(1, world // (parallel.tensor * parallel.sequence))
    batches = max(1, stage.accumulate // data)
    # A third batch finds what the second one found; only its pixels are more.
    given, known = [subject.batch] * min(batches, 2), {} if known is None else known
    key = (stage.model_dump_json(include=DECIDING), subject.key, len(given), conditions)
    if key not in known:
        known[key] = count(model, stage, given, conditions, subject.whole)
    rules = [each.rules for each in recipe.stages]
    numbers, held = quantised_bytes(subject.model(), rules, recipe.start.frozen)
    pixels = "pictures" if conditions.device.type == "cpu" else HOST
    change = {
        pixels: max(0, batches - 2) * subject.pixels,
        FROZEN: -numbers * conditions.dtype.itemsize,
        QUANTISED: held,
    }
    if isinstance(stage.objective, Beginnable):
        numbers_in_all = sum(parameter.numel() for parameter in subject.model().parameters())
        change[REFERENCE] = stage.objective.beside(numbers_in_all * conditions.dtype.itemsize)
    if conditions.keeps_exact:
        exact = "masters" if conditions.device.type == "cpu" else HOST
        change[exact] = change.get(exact, 0) - numbers * torch.float32.itemsize
    moments = {moment: _changed(before, change) for moment, before in known[key].moments.items()}
    return StepMemory(
        {moment: _sharded(moment, held, shards, model, conditions) for moment, held in moments.items()}
    )


def _changed(held: Bytes, change: Mapping[str, int]) -> Bytes:
    after = Counter(held)
    after.update(change)
    return after


def count(
    model: nn.Module, stage: Stage, batches: Sequence[Batch], conditions: Conditions, whole: bool = False
) -> StepMemory:
    """Of a step of one device alone; `model` lies on the meta device, with factors. `whole`: no block of it
    is left out."""
    whole = whole or not is_uniform(model, stage.rules)
    short, left_out = (model, dict[str, int]()) if whole else shortened(model)
    moments = try_passes(short, stage, batches, conditions)
    kept = [moment for moment in moments if not left_out or REPEATED.isdisjoint(moment)]
    grown = {moment: _grown(moments[moment], left_out) for moment in kept}
    update = try_update(short, stage, batches, conditions)
    parts, tried = (largest_parts(assign(each, stage.rules), stage.optimizer) for each in (model, short))
    growth = max(parts[kind] / tried[kind] for kind in tried)
    update = Counter({h: int(n * growth) if h.kind == IN_PASSING else n for h, n in update.items()})
    return StepMemory(grown | {UPDATE: _grown(update, left_out)})


def _grown(held: Counter[Held], left_out: Mapping[str, int]) -> Bytes:
    """Bytes by kind alone: what the block that stands for others holds, for each that was left out, too."""
    grown = Bytes()
    for (kind, owner, small), size in held.items():
        whole = size * (1 + left_out.get(owner, 0))
        grown[kind] += whole
        if small and kind.startswith(PASSING):
            grown[IN_HEAP] += whole
    return grown


def _on_device(held: Bytes) -> int:
    return sum(size for kind, size in held.items() if kind not in ASIDE)


def _sharded(moment: Moment, held: Bytes, shards: int, model: nn.Module, conditions: Conditions) -> Bytes:
    """What one of several processes holds that share weights: two blocks and what is in none are whole."""
    if shards == 1:
        return held
    shared = Counter({kind: -(-size // shards) if kind in SHARED else size for kind, size in held.items()})
    if moment != UPDATE:
        block, outside, learns = _sizes(model)
        width = conditions.dtype.itemsize
        shared[GATHERED] = (2 * block + outside) * width
        if learns:  # gradients of a block, summed in float32, and those outside of blocks till the end
            shared[GATHERED] += 4 * block + width * outside
    return shared


def _sizes(model: nn.Module) -> tuple[int, int, bool]:
    """Weights of the largest block, weights outside of blocks, and whether any wants a gradient."""
    blocks = [
        sum(p.numel() for p in block.parameters())
        for stack in model.modules()
        if isinstance(stack, nn.ModuleList)
        for block in stack
    ]
    whole = list(model.parameters())
    outside = sum(p.numel() for p in whole) - sum(blocks)
    return max(blocks, default=0), outside, any(p.requires_grad for p in whole)
