"""What to change so that a run fits: ways that cost little first, and which setting does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tessera.chat.encoder import Lengths
from tessera.nn.lora import LoRAConfig
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.plan.machine import USUAL, Allowances, Machine
from tessera.train.plan.memory import Known
from tessera.train.plan.packs import usual_pack
from tessera.train.plan.prospect import look_ahead
from tessera.train.plan.run_plan import RunPlan, memory_of, with_allowances
from tessera.train.plan.subject import subject_of
from tessera.train.recipe import Recipe, Stage
from tessera.train.update.rules import DECODER_LINEARS, Rule

LEAST_TOKENS = 2048
MOST_DEVICES = 64


@dataclass(frozen=True)
class Change:
    """A recipe that takes less memory, and the option that makes it so."""

    label: str
    option: str
    recipe: Recipe
    devices: int


Kind = Callable[[Recipe, int, Machine], Iterator[Change]]


@dataclass(frozen=True)
class Advice:
    """Whether a run fits, with which changes, and in how many bytes of each device."""

    line: str
    fits: bool
    total: int
    recipe: Recipe
    """With the changes."""
    options: tuple[str, ...] = ()
    """Of `tessera train`, one for each change."""


@dataclass(frozen=True)
class Terms:
    """What changes may touch, and on what data they are weighed."""

    kinds: tuple[Kind, ...]
    """In the order in which they are tried."""
    sample: Lengths | None = None
    """The mean of the data; None assumes one."""
    longest: Lengths = Lengths(0, 0, 0)
    """What a pack must hold."""


def advise(
    recipe: Recipe, plan: RunPlan, allowances: Allowances = USUAL, terms: Terms | None = None
) -> Advice:
    """The fewest changes, those that cost least first, after which the fullest stage fits.

    A change that saves nothing is not made. Several of one kind follow each other until it is enough.
    """
    machine, now, terms = plan.machine, plan.fullest.total, terms or Terms(KINDS)
    what = f"{plan.model}, {machine.label}"
    if plan.fits:
        return Advice(f"{what}: fits as it is, {now / 1e9:.1f} GB", True, now, recipe)
    index = plan.stages.index(plan.fullest)
    prospect, made, known = look_ahead(recipe.start), dict[Kind, Change](), Known()
    for kind in terms.kinds:
        for change in kind(recipe, index, machine):
            packing = change.recipe.stages[index].packing
            if packing.max_tokens < terms.longest.tokens or packing.max_tiles < terms.longest.tiles:
                continue
            pack = usual_pack(prospect.family.model, packing, terms.sample)
            device = replace(machine, count=change.devices)
            subject = subject_of(change.recipe, index, prospect.family.model, pack)
            memory = memory_of(change.recipe, index, prospect, subject, device, known)
            total = sum(with_allowances(memory, device, allowances).values())
            if total > 0.98 * now:
                continue
            made[kind], now, recipe, machine = change, total, change.recipe, device
            if now <= machine.memory:
                labels = " and ".join(each.label for each in made.values())
                options = tuple(each.option for each in made.values())
                return Advice(f"{what}: fits with {labels}, {now / 1e9:.1f} GB", True, now, recipe, options)
    best = " and ".join(each.label for each in made.values())
    line = f"{what}: does not fit, with {best or 'any change'} {now / 1e9:.1f} GB"
    return Advice(line, False, now, recipe)


def _with(recipe: Recipe, index: int, **update: Any) -> Recipe:
    stages: list[Stage] = list(recipe.stages)
    stages[index] = stages[index].model_copy(update=update)
    return recipe.model_copy(update={"stages": tuple(stages)})


def recompute(recipe: Recipe, index: int, machine: Machine) -> Iterator[Change]:
    """More time, the same result."""
    field = f"--stages.{index}.recompute"
    if recipe.stages[index].recompute == "none":
        yield Change(
            "selective recompute",
            f"{field} selective",
            _with(recipe, index, recompute="selective"),
            machine.count,
        )
    if recipe.stages[index].recompute != "blocks":
        yield Change("recompute", f"{field} blocks", _with(recipe, index, recompute="blocks"), machine.count)


def offload(recipe: Recipe, index: int, machine: Machine) -> Iterator[Change]:
    """More time, the same result; the host needs the memory instead."""
    optimizer = recipe.stages[index].optimizer
    if machine.device.type != "cpu" and not optimizer.offload:
        changed = optimizer.model_copy(update={"offload": True})
        option = f"--stages.{index}.optimizer.offload True"
        yield Change("optimizer offload", option, _with(recipe, index, optimizer=changed), machine.count)


def quantise(recipe: Recipe, index: int, machine: Machine) -> Iterator[Change]:
    """Frozen matrices in few bits: a slightly other model learns."""
    if not all(isinstance(stage.objective, ConversationObjective) for stage in recipe.stages):
        return
    for kind in ("int8", "int4"):
        start = recipe.start.model_copy(update={"frozen": kind})
        changed = recipe.model_copy(update={"start": start})
        yield Change(f"{kind} base", f"--start.frozen {kind}", changed, machine.count)


def shorten(recipe: Recipe, index: int, machine: Machine) -> Iterator[Change]:
    """Smaller packs, more of them: the same samples in a step, but long ones no longer fit."""
    stage = recipe.stages[index]
    tokens, tiles, accumulate = stage.packing.max_tokens, stage.packing.max_tiles, stage.accumulate
    while tokens // 2 >= LEAST_TOKENS:
        tokens, tiles, accumulate = tokens // 2, max(1, tiles // 2), 2 * accumulate
        packing = stage.packing.model_copy(update={"max_tokens": tokens, "max_tiles": tiles})
        field = f"--stages.{index}"
        option = f"{field}.packing.max-tokens {tokens} {field}.packing.max-tiles {tiles}"
        changed = _with(recipe, index, packing=packing, accumulate=accumulate)
        label = f"packs of {tokens:,} tokens"
        yield Change(label, f"{option} {field}.accumulate {accumulate}", changed, machine.count)


def devices(recipe: Recipe, index: int, machine: Machine) -> Iterator[Change]:
    """More of them, which share weights and optimizer."""
    count = machine.count
    while 2 * count <= MOST_DEVICES:
        count *= 2
        if recipe.stages[index].accumulate % count == 0:
            yield Change(f"{count} devices", f"torchrun with {count} processes", recipe, count)


def factors(recipe: Recipe, index: int, machine: Machine) -> Iterator[Change]:
    """LoRA instead of the weights themselves: another training."""
    rules = recipe.stages[index].rules
    if any(rule.lora for rule in rules):
        return
    rate = max(rule.learning_rate or 0.0 for rule in rules)
    lora = Rule(pattern=DECODER_LINEARS, learning_rate=rate, lora=LoRAConfig())
    changed = _with(recipe, index, rules=(lora, Rule(pattern=".")))
    yield Change(
        "LoRA of rank 16", "rules with lora (docs/recipes.md), or tessera tune", changed, machine.count
    )


KINDS: tuple[Kind, ...] = (recompute, offload, quantise, shorten, devices, factors)
"""In the order in which they are tried."""
