"""The plan of a run: of every stage what is trained, on how much, in what memory and how long."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from tessera.chat.encoder import Lengths
from tessera.models.config import ModelConfig
from tessera.models.vlm import VLM
from tessera.runtime.progress import Progress, silent
from tessera.train.objective.contract import Sources
from tessera.train.objective.contrastive import ContrastiveObjective
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.learner import ChatLearner
from tessera.train.objective.pairing.stage import PairStage
from tessera.train.parallel.ranks import ALONE
from tessera.train.plan.flops import effort_of
from tessera.train.plan.groups import RuleGroup, rule_groups
from tessera.train.plan.machine import USUAL, Allowances, Machine
from tessera.train.plan.memory import Known, StepMemory, step_memory
from tessera.train.plan.packs import PackPlan, heaviest, mean_pack, usual_pack
from tessera.train.plan.prospect import Prospect, look_ahead
from tessera.train.plan.shape import with_factors
from tessera.train.plan.subject import Subject, pairs, subject_of
from tessera.train.plan.trial import Conditions
from tessera.train.recipe import Recipe, Stage, gaps
from tessera.train.setup import with_steps

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class StagePlan:
    """One stage; counts are those of a step over all devices unless they say otherwise."""

    name: str
    groups: tuple[RuleGroup, ...]
    optimizer: str
    recompute: str
    steps: int | None
    """None: one pass over data that is not at hand."""
    packs: int
    tokens: float
    supervised: float
    tiles: float
    origin: str
    """Where the lengths of samples come from."""
    bytes: dict[str, int]
    """On each device at the fullest instant of a step, by what they are for."""
    fullest: str
    """That instant."""
    host_bytes: int
    """In the host's memory beside an accelerator, for each device."""
    flops: float | None
    """Useful ones; None where nobody counts them: those of two towers, and of a ViT that imitates another."""
    seconds: float | None
    """Of a step; None where no speed is known."""

    @property
    def total(self) -> int:
        """Bytes on each device."""
        return sum(self.bytes.values())

    @property
    def tokens_in_all(self) -> float | None:
        """Of the stage."""
        return None if self.steps is None else self.steps * self.tokens


@dataclass(frozen=True)
class RunPlan:
    """All stages of a run on some devices."""

    model: str
    machine: Machine
    stages: tuple[StagePlan, ...]

    @property
    def fullest(self) -> StagePlan:
        """The stage that takes most memory."""
        return max(self.stages, key=lambda stage: stage.total)

    @property
    def fits(self) -> bool:
        """Whether every stage does."""
        return self.fullest.total <= self.machine.memory

    @property
    def seconds(self) -> float | None:
        """Of the whole run; None where a stage's are not known."""
        parts = [None if s.seconds is None or s.steps is None else s.seconds * s.steps for s in self.stages]
        return sum(part for part in parts if part is not None) if None not in parts else None


def trains_pair(recipe: Recipe) -> bool:
    """Whether it trains pictures and texts in one space: what that takes is not planned."""
    return isinstance(recipe.stages[0].objective, PairStage)


def plan_run(
    recipe: Recipe,
    machine: Machine,
    allowances: Allowances = USUAL,
    progress: Progress = silent,
    read_data: bool = True,
    sample: Lengths | None = None,
) -> RunPlan:
    """No weight is read. With `read_data` the lengths of samples come from sources that are at hand, else all
    are like `sample`.

    ValueError for rules that decide nothing, for parts that make no model, and, as DataError, for faults of
    the data.
    """
    prospect = look_ahead(recipe.start)
    stages = []
    for index, stage in enumerate(recipe.stages):
        drawn = isinstance(stage.objective, ContrastiveObjective)
        packs = _packs_of_data(recipe, index, prospect, progress) if read_data and not drawn else None
        config = prospect.family.model
        usual = pairs(recipe, index).pack if drawn else usual_pack(config, stage.packing, sample)
        packs = packs or StagePacks(usual, usual, stage.steps if stage.epochs is None else None)
        stages.append(plan_stage(recipe, index, prospect, packs, machine, allowances))
    return RunPlan(prospect.family.name, machine, tuple(stages))


@dataclass(frozen=True)
class StagePacks:
    """Packs that a stage is planned for, and its steps."""

    heaviest: PackPlan
    mean: PackPlan
    steps: int | None


def plan_stage(
    recipe: Recipe,
    index: int,
    prospect: Prospect,
    packs: StagePacks,
    machine: Machine,
    allowances: Allowances = USUAL,
) -> StagePlan:
    """One stage on packs whose lengths are known."""
    stage, config = recipe.stages[index], prospect.family.model
    subject = subject_of(recipe, index, config, packs.heaviest)
    memory = memory_of(recipe, index, prospect, subject, machine)
    model = with_factors(subject.model(), stage.rules)
    flops = _flops(config, stage, packs.mean, model) if isinstance(model, VLM) else None
    return StagePlan(
        name=stage.name,
        groups=rule_groups(model, stage.rules),
        optimizer=stage.optimizer.kind,
        recompute=stage.recompute,
        steps=packs.steps,
        packs=stage.accumulate,
        tokens=stage.accumulate * packs.mean.tokens,
        supervised=stage.accumulate * packs.mean.trained,
        tiles=stage.accumulate * packs.mean.tiles,
        origin=packs.heaviest.origin,
        bytes=with_allowances(memory, machine, allowances),
        fullest=" ".join(filter(None, map(str, memory.fullest))),
        host_bytes=memory.host,
        flops=flops,
        seconds=None if machine.speed is None or flops is None else flops / machine.speed / machine.count,
    )


def memory_of(
    recipe: Recipe,
    index: int,
    prospect: Prospect,
    subject: Subject,
    machine: Machine,
    known: Known | None = None,
) -> StepMemory:
    """Of a step of one stage that trains this; `known` as `step_memory` has it."""
    conditions = Conditions(machine.device, DTYPES[recipe.precision], prospect.stored)
    return step_memory(recipe, index, subject, conditions, machine.count, known)


def with_allowances(memory: StepMemory, machine: Machine, allowances: Allowances) -> dict[str, int]:
    """Bytes by what they are for, with what is no tensor."""
    on_cpu = machine.device.type == "cpu"
    return memory.parts | allowances.of(memory.total, memory.gaps(allowances.gaps), on_cpu, machine.count)


def _flops(config: ModelConfig, stage: Stage, pack: PackPlan, model: VLM) -> float:
    """Useful ones of a step, and what recomputing blocks adds to its time is left out."""
    effort = effort_of(config, stage.rules, model)
    of_pack = effort.of(tiles=pack.tiles, tokens=pack.tokens, pairs=pack.pairs, supervised=pack.trained)
    return stage.accumulate * of_pack


def _packs_of_data(recipe: Recipe, index: int, prospect: Prospect, progress: Progress) -> StagePacks | None:
    """Of the first window of the data; None where it is not at hand."""
    stage, learner = recipe.stages[index], prospect.learner
    given = stage.objective
    objective = given if isinstance(given, ConversationObjective) else ConversationObjective()
    if learner is None or any(field.startswith(f"stages.{index}.") for field in gaps(recipe)):
        return None
    sources, _ = objective.check(stage, learner, progress)
    found = _first_window(stage, learner, sources, (recipe.seed, index))
    steps = with_steps(stage, sources, learner).steps
    return StagePacks(heaviest(found, prospect.family.model), mean_pack(found), steps)


def _first_window(
    stage: Stage, learner: ChatLearner, sources: Sources, seeds: tuple[int, int]
) -> Sequence[PackPlan]:
    """The packs of the first round, from lengths alone."""
    with closing(ConversationObjective().loader(stage, learner, sources, seeds, ALONE)) as loader:
        first = next(iter(loader.plan()))
    packs = [pack for step in first.steps for pack in step]
    origin = f"the fullest of the first {len(packs)} packs of the data"
    return [PackPlan(tuple(item.lengths for item in pack), origin) for pack in packs]
