"""Batches of steps that were no number, kept to be computed again: tensors and JSON, no pickle."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tessera.runtime.atomic import atomic_folder
from tessera.runtime.shown import shown
from tessera.train.watch.telemetry import StepReport

MOST_KEPT = 8
"""Steps kept of a run, the first ones: later ones say less of the cause, and a disk is not for ever."""
STEP, BATCHES = "step.json", "batches.safetensors"
_NAME = re.compile(r"stage(\d+)-step(\d+)")


@dataclass(frozen=True)
class KeptStep:
    """A step as it was: where it stood, its figures, and the batches of all ranks."""

    stage: int
    step: int
    loss: float
    gradient_norm: float
    batches: tuple[Any, ...]


def keep_step(
    folder: Path, rank: int, report: StepReport, batches: Sequence[Any], loss: float, norm: float
) -> Path | None:
    """Write a rank's batches of a step below `folder`; returns the step's own folder, None where there are
    MOST_KEPT. Frozen dataclasses of tensors and plain values can be kept."""
    target = folder / f"stage{report.stage_index}-step{report.step:06d}"
    others = {path.name for path in folder.glob("stage*-step*")} - {target.name}
    if len(others) >= MOST_KEPT:
        return None
    tensors: dict[str, torch.Tensor] = {}
    plain: list[dict[str, Any]] = []
    for number, batch in enumerate(batches):
        values = {field.name: getattr(batch, field.name) for field in fields(batch)}
        found = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
        tensors |= {f"{number}/{name}": value.contiguous() for name, value in found.items()}
        plain.append({name: value for name, value in values.items() if name not in found})
    said = {"loss": repr(loss), "gradient_norm": repr(norm), "samples": report.samples, "batches": plain}
    with atomic_folder(target / f"rank{rank}") as fresh:
        save_file(tensors, fresh / BATCHES)
        (fresh / STEP).write_text(json.dumps(said, indent=1), encoding="utf-8")
    return target


def read_step(folder: Path, kinds: Sequence[type[Any]]) -> KeptStep:
    """The step that `keep_step` wrote; `kinds` of batches, one a stage. ValueError for another folder."""
    named = _NAME.fullmatch(folder.name)
    ranks = sorted(folder.glob("rank*"), key=lambda path: int(path.name.removeprefix("rank")))
    if named is None or not ranks:
        raise ValueError(f"{shown(folder)} holds no step: give a folder such as RUN/replay/stage0-step000012")
    if int(named[1]) >= len(kinds):
        raise ValueError(
            f"{shown(folder)} is of a stage that this recipe doesn't have; give the run's recipe"
        )
    try:
        said = [json.loads((path / STEP).read_text(encoding="utf-8")) for path in ranks]
        batches = tuple(
            batch
            for path, step in zip(ranks, said, strict=True)
            for batch in _batches(kinds[int(named[1])], step["batches"], load_file(path / BATCHES))
        )
        figures = float(said[0]["loss"]), float(said[0]["gradient_norm"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{shown(folder)} can't be read ({shown(error)}); keep the step again") from error
    return KeptStep(int(named[1]), int(named[2]), *figures, batches)


def _batches(kind: type[Any], plain: list[dict[str, Any]], tensors: dict[str, torch.Tensor]) -> Iterator[Any]:
    for number, values in enumerate(plain):
        mark = f"{number}/"
        own = {name.removeprefix(mark): tensor for name, tensor in tensors.items() if name.startswith(mark)}
        yield kind(**own, **{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    """JSON knows no tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
