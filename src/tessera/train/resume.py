"""Whether a run may go on: the same recipe, the same data, and a state where telemetry stands."""

from pathlib import Path
from typing import Any

from tessera.records.identity import identity
from tessera.runtime.shown import shown
from tessera.train.recipe import Recipe
from tessera.train.setup import Setup
from tessera.train.state import SavedState, StateFolder, first_difference
from tessera.train.telemetry import read_reports

FREE: dict[Any, Any] = {
    "name": True,
    "save_every": True,
    "stages": {"__all__": {"packing": {"workers", "prefetch"}, "sources": {"__all__": {"meta"}}}},
}
"""What changes no loss, so a run may go on with other values. A manifest may have moved: its data is compared."""


def run_facts(setup: Setup) -> dict[str, Any]:
    """What a state remembers of its run, as plain values: the recipe, and the data of every stage."""
    data = {
        stage.name: {entry.source.name: identity(entry) for entry in sources}
        for stage, sources in zip(setup.recipe.stages, setup.sources, strict=True)
    }
    return {"recipe": setup.recipe.model_dump(mode="json"), "data": data}


def find_state(folder: Path, states: StateFolder, run: dict[str, Any], changed_data: bool) -> SavedState | None:
    """The newest whole state of this run in its folder, None for a run that begins.

    ValueError naming the first field of the recipe that differs, or the source whose data changed (unless
    `changed_data` accepts that); and when a run stands here whose states are gone or damaged.
    """
    saved = states.newest()
    if saved is None:
        if next(read_reports(folder / "telemetry.jsonl"), None) is not None:
            raise ValueError(
                f"{shown(folder)}: telemetry.jsonl tells of a run, but there is no state to go on from. Restore "
                "the folder `state` from a copy, use another --out, or delete the run's folder to begin again"
            )
        return None
    was, now = (Recipe.model_validate(facts["recipe"]).model_dump(mode="json", exclude=FREE) for facts in (saved.run, run))
    if difference := first_difference(was, now, "recipe"):
        raise ValueError(
            f"{shown(folder)} holds another run: {difference}; use another --out, or delete the folder"
        )
    names = [stage["name"] for stage in run["recipe"]["stages"][saved.position.stage :]]
    for name in names if not changed_data else ():
        if difference := first_difference(saved.run["data"][name], run["data"][name], f"stage {name}"):
            raise ValueError(
                f"the data changed since the run was saved: {difference}. Restore it, begin a new run with "
                "another --out, or go on with the new data by --accept-changed-data"
            )
    return saved
