"""`tessera train RECIPE --plan`: what a run will take, and what to change so that it fits."""

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tessera.cli.terminal.tables import figures_table, say
from tessera.models.accounting import count_parameters
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import counted
from tessera.train.parallel.ranks import join
from tessera.train.plan.fit import Advice, advise
from tessera.train.plan.machine import USUAL, find_machine, with_speed
from tessera.train.plan.prospect import look_ahead
from tessera.train.plan.run_plan import DTYPES, RunPlan, StagePlan, plan_run, trains_pair
from tessera.train.recipe import Recipe

SMALL = 50_000_000
"""Weights of a model up to which a run starts without a look at the memory: it fits everywhere."""


@dataclass(frozen=True)
class Wanted:
    """The devices to plan for, as options gave them; None takes those that are here."""

    device_memory: str | None = None
    devices: int | None = None
    peak: float | None = None
    """TFLOP/s of a device."""
    mfu: float = 0.4


def make_plan(recipe: Recipe, wanted: Wanted, progress: Progress = silent) -> tuple[RunPlan, Advice]:
    """The plan of a run on the devices wanted. ValueError for options that mean nothing."""
    if trains_pair(recipe):
        raise ValueError("--plan: memory and time of pairs are not planned; take a few steps and look")
    if wanted.devices is not None and wanted.devices < 1:
        raise ValueError(f"--devices {wanted.devices}: give at least 1")
    if not 0 < wanted.mfu <= 1:
        raise ValueError(f"--mfu {wanted.mfu}: a share of the peak, above 0 and at most 1")
    machine = find_machine(recipe.device, wanted.device_memory, wanted.devices, join().world)
    machine = with_speed(machine, wanted.peak, wanted.mfu, DTYPES[recipe.precision])
    plan = plan_run(recipe, machine, progress=progress)
    return plan, advise(recipe, plan)


def require_memory(recipe: Recipe) -> None:
    """ValueError, with what to change, for a run that takes far more memory than its device has.

    Looked at before weights and data are read: on full packs of usual samples.
    """
    if is_small(recipe):
        return
    machine = find_machine(recipe.device, None, None, join().world)
    plan = plan_run(recipe, machine, read_data=False)
    if plan.fullest.total > USUAL.far * machine.memory:
        raise too_large(plan, advise(recipe, plan))


def is_small(recipe: Recipe) -> bool:
    """Whether nobody needs to look: it fits everywhere, or a pair is trained, which is not planned."""
    return trains_pair(recipe) or count_parameters(look_ahead(recipe.start).family.model)["total"] < SMALL


def too_large(plan: RunPlan, found: Advice) -> ValueError:
    """What to say instead of a start."""
    options = f": {' '.join(found.options)}" if found.options else ""
    needs = f"stage {plan.fullest.name!r} needs about {plan.fullest.total / 1e9:.1f} GB"
    return ValueError(
        f"{needs}. {found.line}{options}. `--plan` shows the parts; `--no-plan-check` starts all the same"
    )


def as_json(plan: RunPlan, advice: Advice) -> dict[str, Any]:
    """All figures as plain values: bytes, FLOPs, seconds."""
    stages = [
        asdict(stage) | {"total_bytes": stage.total, "tokens_in_all": stage.tokens_in_all}
        for stage in plan.stages
    ]
    machine = plan.machine
    devices = {"memory_bytes": machine.memory, "count": machine.count, "speed": machine.speed}
    return {
        "model": plan.model,
        "devices": devices | {"speed_from": machine.why},
        "stages": stages,
        "seconds": plan.seconds,
        "advice": {
            "line": advice.line,
            "fits": advice.fits,
            "total": advice.total,
            "options": advice.options,
        },
    }


def show_plan(plan: RunPlan, advice: Advice, console: Console) -> None:
    """Tables of every stage, then time and advice."""
    for number, stage in enumerate(plan.stages):
        console.print(_groups_table(number, stage))
        say(console, _work(stage), "")
    console.print(_memory_table(plan))
    say(
        console,
        f"at the fullest instant of a step: {', '.join(f'{s.name}: {s.fullest}' for s in plan.stages)}",
    )
    say(console, *(f"{s.name}: {s.origin}" for s in plan.stages), _time(plan), advice.line)
    say(console, *(f"  {option}" for option in advice.options))


def _groups_table(number: int, stage: StagePlan) -> Table:
    grid = figures_table(
        "pattern",
        *("trained", "frozen", "rate", "decay"),
        title=f"stage {number}: {stage.name}",
        title_justify="left",
    )
    for group in stage.groups:
        rate = "" if group.rate is None else f"{group.rate:g}"
        rank = f" (LoRA {group.rank})" if group.rank else ""
        decay = f"{group.decay:g}" if group.trained else ""
        cells = (f"{group.trained:,}{rank}", f"{group.frozen:,}", rate, decay)
        grid.add_row(escape(group.pattern), *cells)
    return grid


def _work(stage: StagePlan) -> str:
    """Steps and what is in them."""
    steps = "one pass over the data" if stage.steps is None else counted(stage.steps, "step")
    whole = "" if stage.tokens_in_all is None else f", {stage.tokens_in_all / 1e9:.3g} B tokens in all"
    return (
        f"{steps} of {counted(stage.packs, 'pack')}: about {stage.tokens:,.0f} tokens, "
        f"{stage.tiles:,.0f} tiles, {stage.supervised:,.0f} supervised{whole}; "
        f"{stage.optimizer}, recompute {stage.recompute}"
    )


def _memory_table(plan: RunPlan) -> Table:
    grid = figures_table("GB on each device", *(stage.name for stage in plan.stages))
    kinds = dict.fromkeys(kind for stage in plan.stages for kind, size in stage.bytes.items() if size >= 5e6)
    for kind in kinds:
        grid.add_row(kind, *(_gb(stage.bytes.get(kind, 0)) for stage in plan.stages))
    grid.add_section()
    grid.add_row("total", *(_gb(stage.total) for stage in plan.stages))
    if any(stage.host_bytes for stage in plan.stages):
        grid.add_row("in the host's memory", *(_gb(stage.host_bytes) for stage in plan.stages))
    return grid


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f}" if size else ""


def _time(plan: RunPlan) -> str:
    if plan.machine.speed is None:
        return f"time: {plan.machine.why}"
    if not any(stage.seconds for stage in plan.stages):
        return "time: not estimated but for conversations"
    steps = ", ".join(f"{s.name} {_duration(s.seconds)} a step" for s in plan.stages if s.seconds)
    whole = f"{_duration(plan.seconds)} in all, " if plan.seconds else ""
    return f"time: {whole}{steps} ({plan.machine.why})"


def _duration(seconds: float | None) -> str:
    assert seconds is not None
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} s"
