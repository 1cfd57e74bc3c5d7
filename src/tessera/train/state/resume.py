"""Whether a run may go on: the same recipe, the same data, and a state where telemetry stands."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from tessera.nn.lora import own_name
from tessera.records.identity import DIGESTS, identity
from tessera.runtime.disk import LEAST_FREE
from tessera.runtime.shown import shown
from tessera.train.recipe import Stage
from tessera.train.setup import Setup
from tessera.train.state.folder import ELSE, SavedState, StateFolder
from tessera.train.update.rules import trains
from tessera.train.watch.journal import read_reports

FREE = (
    "name",
    "best",
    "save_dtype",
    "save_every",
    "log_every",
    "on_nonfinite",
    "most_skipped",
    "save_in_background",
    "parallel",
)
FREE_IN_PACKING = ("workers", "prefetch")
FREE_IN_STAGE = (
    *("validation", "validate_every", "validation_packs", "evaluation"),
    *("cache_features", "cache_gib"),
)
"""What changes no loss, so a run may go on with other values. So may `meta`: the data itself is compared."""


def run_facts(setup: Setup) -> dict[str, Any]:
    """What a state remembers of its run, as plain values: the recipe, and the data of every stage."""
    data = {
        stage.name: {entry.source.name: identity(entry) for entry in sources}
        for stage, sources in zip(setup.recipe.stages, setup.sources, strict=True)
    }
    return {"recipe": setup.given.model_dump(mode="json"), "data": data}


def find_state(
    folder: Path, states: StateFolder, run: dict[str, Any], changed_data: bool
) -> SavedState | None:
    """The newest whole state of this run in its folder, None for a run that begins.

    ValueError naming the first field of the recipe that differs, or the source whose data changed (unless
    `changed_data` accepts that); and when a run stands here whose states are gone or damaged.
    """
    saved = states.newest()
    if saved is None:
        if next(iter(read_reports(folder)), None) is not None:
            raise ValueError(
                f"{shown(folder)}: telemetry.jsonl tells of a run, but there is no state to go on from. "
                f"Restore {shown(states.folder)} from a copy, {ELSE}"
            )
        return None
    if difference := first_difference(_bound(saved.run["recipe"]), _bound(run["recipe"]), "recipe"):
        raise ValueError(
            f"{shown(folder)} holds another run: {difference}; use another --out, or delete the folder"
        )
    names = [stage["name"] for stage in run["recipe"]["stages"][saved.position.stage :]]
    changes = [line for name in names for line in _changes(name, saved.run["data"][name], run["data"][name])]
    if changes and not changed_data:
        raise ValueError(
            f"the data changed since the run was saved: {'; '.join(changes)}. Restore it, begin a new run "
            "with another --out, or go on with the new data by --accept-changed-data"
        )
    return saved


def _changes(stage: str, was: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """What differs in each source of a stage, in words."""
    for name in was | now:
        where = f"stage {stage!r}, source {shown(name)}"
        if name not in was or name not in now:
            yield f"{where}: {'gone' if name in was else 'new'}"
            continue
        pairs = {key: (was[name].get(key), now[name].get(key)) for key in was[name] | now[name]}
        told = [
            key if key in DIGESTS else f"{key} (was {shown(before)}, now {shown(after)})"
            for key, (before, after) in pairs.items()
            if before != after
        ]
        if told:
            yield f"{where}: {', '.join(told)}"


def room_for_run(model: nn.Module, stages: Sequence[Stage], begun: int, states: StateFolder) -> int:
    """Bytes that stages from `begun` on need on the disk beside what the states take already: two states, and
    a model a stage.

    A state has what was trained so far, in float32, and two tensors of memory and perhaps a mean for what its
    stage trains. A mean is also a second model of its stage.
    """
    whole, state, models = sum(p.numel() * p.element_size() for p in model.parameters()), 0, 0
    for number, stage in enumerate(stages[begun:], begun):
        mean = stage.optimizer.ema is not None
        memory = (3 if mean else 2) * _trained_bytes(model, [stage])
        state = max(state, _trained_bytes(model, stages[: number + 1]) + memory)
        models += 1 + mean
    measured = any(stage.validation or stage.evaluation for stage in stages[begun:])
    room = 2 * state + whole * (models + measured)  # the best one, too
    return max(LEAST_FREE, room - sum(f.stat().st_size for f in states.folder.rglob("*") if f.is_file()))


def _trained_bytes(model: nn.Module, stages: Sequence[Stage]) -> int:
    """Of the weights that some of the stages train, in float32."""
    sizes = {own_name(name): 4 * p.numel() for name, p in model.named_parameters()}
    return sum(size for name, size in sizes.items() if any(trains(stage.rules, name) for stage in stages))


def _bound(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe without what may change."""

    def without(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name not in names}

    stages = [
        without(stage, FREE_IN_STAGE)
        | {"packing": without(stage["packing"], FREE_IN_PACKING)}
        | {"sources": [without(source, ("meta",)) for source in stage["sources"]]}
        for stage in recipe["stages"]
    ]
    return without(recipe, FREE) | {"stages": stages}


def first_difference(saved: Any, given: Any, where: str) -> str | None:
    """The first field in which two plain values differ, with both values; None when they are equal."""
    if isinstance(saved, dict) and isinstance(given, dict):
        pairs = [(key, saved.get(key), given.get(key)) for key in sorted(saved.keys() | given.keys())]
    elif isinstance(saved, list) and isinstance(given, list) and len(saved) == len(given):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(saved, given, strict=True))]
    else:
        return None if saved == given else f"{where} was {shown(saved)}, now {shown(given)}"
    return next((d for key, a, b in pairs if (d := first_difference(a, b, f"{where}.{key}"))), None)
