"""Bytes of a training step at its fullest instant, by what they are held for.

Short trials are carried on to the full depth: every block of a stack holds as much as the next one, so what
a moment takes grows evenly with the depth. The update is tried on all weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from tessera.train.plan.batch import PackPlan
from tessera.train.plan.ledger import HOST, Moment
from tessera.train.plan.shape import is_uniform, shortened, stacks_of
from tessera.train.plan.trial import Bytes, Conditions, try_passes, try_update
from tessera.train.recipe import Stage

SHORT = 3
"""Blocks at least for the first, the one before the last and the last to be three."""


@dataclass(frozen=True)
class StepMemory:
    """What a step holds at each of its moments, bytes by kind."""

    moments: Mapping[Moment, Bytes]

    @property
    def fullest(self) -> Moment:
        """The moment of the peak."""
        return max(self.moments, key=lambda moment: on_device(self.moments[moment]))

    @property
    def peak(self) -> Bytes:
        """At the fullest instant."""
        return +self.moments[self.fullest]


def on_device(held: Bytes) -> int:
    """Bytes of the device: all but the host's."""
    return held.total() - held[HOST]


def step_memory(
    model: nn.Module, stage: Stage, packs: Sequence[PackPlan], conditions: Conditions
) -> StepMemory:
    """Of a step of a stage on these packs; `model` lies on the meta device, as `shape.prepare` leaves it."""
    update = try_update(model, stage, packs, conditions)
    stacks = stacks_of(model)
    if not is_uniform(model, stage.rules) or all(depth <= SHORT + 1 for depth in stacks.values()):
        return StepMemory(try_passes(model, stage, packs, conditions) | update)
    least = {part: min(depth, SHORT) for part, depth in stacks.items()}
    short = try_passes(shortened(model, least), stage, packs, conditions)
    grown = {moment: Counter(peak) for moment, peak in short.items()}
    for part, depth in stacks.items():
        if depth > SHORT:
            longer = try_passes(shortened(model, least | {part: SHORT + 1}), stage, packs, conditions)
            for moment, peak in grown.items():
                for kind, size in (longer[moment] - short[moment]).items():
                    peak[kind] += size * (depth - SHORT)
                for kind, size in (short[moment] - longer[moment]).items():
                    peak[kind] -= size * (depth - SHORT)
    return StepMemory(grown | update)
