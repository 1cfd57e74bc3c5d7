"""Everything needed to go on exactly: weights, optimizer, data position and random state, without pickle.

A state is a folder, written aside, put on the disk, then renamed. The one before stays: whatever stops a run
at any instant, one of the two is whole. Digests of all files tell a damaged one.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tessera.nn.lora import own_name
from tessera.runtime.atomic import atomic_folder, remove
from tessera.runtime.disk import file_digest
from tessera.runtime.shown import shown
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer

WEIGHTS, MEMORY, FACTS, DIGESTS = "weights.safetensors", "optimizer.safetensors", "state.json", "digests.json"
ELSE = "use another --out, or delete the run's folder to begin again"
"""What is left to do where a run can't go on."""
_NAME = re.compile(r"stage(\d+)-step(\d+)")


@dataclass(frozen=True)
class RunPosition:
    """The next step to take: stage number and step in it, and the loader's own state."""

    stage: int = 0
    step: int = 0
    loader: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Folder of the state that stands there."""
        return f"stage{self.stage}-step{self.step:06d}"


@dataclass(frozen=True)
class SavedState:
    """A whole state: where it lies, where the run stands, and the run it belongs to."""

    folder: Path
    position: RunPosition
    run: dict[str, Any]

    def restore(self, model: nn.Module, masters: Masters, optimizer: Optimizer | None) -> None:
        """Weights with their masters, optimizer memory and random state into objects of the same recipe.

        Before the first step there is nothing to restore: the recipe makes the same model again.
        """
        if self.position.name == RunPosition().name:
            return
        weights = load_file(self.folder / WEIGHTS)
        for path, parameter in model.named_parameters():
            name = own_name(path)
            if name not in weights or weights[name].shape != parameter.shape:
                raise ValueError(f"{shown(self.folder)}: no {name} of this model; use another --out")
            masters.load(name, parameter, weights[name])
        tensors = load_file(self.folder / MEMORY)
        torch.set_rng_state(tensors.pop("random/cpu"))
        if (state := tensors.pop("random/cuda", None)) is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state)
        if optimizer is not None:
            optimizer.load_state_tensors(tensors)


class StateFolder:
    """The states of a run: the newest whole one, and the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []
        """What `newest` passed over, a line each."""
        self._last: Path | None = None

    def newest(self) -> SavedState | None:
        """The newest whole state, None when there is no trace of one. Damaged ones are passed over.

        ValueError when there are only damaged ones, and for a state of a Tessera that kept no digests.
        """
        if (self.folder / FACTS).exists():
            raise ValueError(
                f"{shown(self.folder)} is of an earlier version and can't be checked: end the run with that "
                "version, or use another --out"
            )
        self.damaged = []
        for folder in sorted(self._states(), key=_order, reverse=True):
            try:
                found = _read(folder)
            except PermissionError:
                raise  # may be whole
            except (ValueError, OSError) as error:
                self.damaged.append(f"{shown(folder)} is damaged ({shown(error)})")
                continue
            self._last = folder
            return found
        if self.damaged:
            raise ValueError(
                f"no whole state is left: {'; '.join(self.damaged)}. Restore {shown(self.folder)} from a "
                f"copy, {ELSE}"
            )
        return None

    def begin(self, run: dict[str, Any]) -> None:
        """The state before the first step, which needs no weights: it tells a run from none."""
        self._write(RunPosition(), run, {})

    def save(
        self,
        position: RunPosition,
        run: dict[str, Any],
        exact: Iterable[tuple[str, torch.Tensor]],
        optimizer: Optimizer,
    ) -> None:
        """Write aside, then rename; of the others the last whole one stays.

        ValueError when the disk refuses: what is there stays as it is.
        """
        weights = {name: value.cpu().contiguous() for name, value in exact}
        memory = {name: value.cpu().contiguous() for name, value in optimizer.state_tensors().items()}
        memory |= _random_states()
        self._write(position, run, {WEIGHTS: weights, MEMORY: memory})

    def _write(
        self, position: RunPosition, run: dict[str, Any], tensors: dict[str, dict[str, torch.Tensor]]
    ) -> None:
        target = self.folder / position.name
        if target == self._last:
            return  # nothing was done since
        # First, for room: the last whole one alone has to outlive what follows.
        for left in (*self._states(), *self.folder.glob(".*.unfinished")):
            if left != self._last:
                remove(left)
        with atomic_folder(target) as fresh:
            for name, values in tensors.items():
                save_file(values, fresh / name)
            (fresh / FACTS).write_text(json.dumps({"run": run, **vars(position)}), encoding="utf-8")
            digests = {file.name: file_digest(file) for file in sorted(fresh.iterdir())}
            (fresh / DIGESTS).write_text(json.dumps(digests, indent=1), encoding="utf-8")
        self._last = target

    def _states(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from (path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))


def require_finite(model: nn.Module) -> None:
    """FloatingPointError naming the first weights that are not finite; clipping keeps memory finite."""
    for name, tensor in model.named_parameters():
        if not tensor.isfinite().all():
            raise FloatingPointError(f"{name} is not finite: the run diverged; lower learning_rate")


def _order(folder: Path) -> tuple[int, ...]:
    found = _NAME.fullmatch(folder.name)
    assert found is not None
    return tuple(map(int, found.groups()))


def _read(folder: Path) -> SavedState:
    """A state whose files have their digests. ValueError or OSError for any other."""
    digests = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
    if not isinstance(digests, dict) or FACTS not in digests:
        raise ValueError(f"{DIGESTS} names no {FACTS}")
    for name, digest in digests.items():
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
        if file_digest(folder / name) != digest:
            raise ValueError(f"{name} is not what was written")
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    position = RunPosition(facts["stage"], facts["step"], facts["loader"])
    if position.name != folder.name:
        raise ValueError(f"it is {position.name} by its content")
    return SavedState(folder, position, facts["run"])


def _random_states() -> dict[str, torch.Tensor]:
    """Drop path draws on the device that trains."""
    states = {"random/cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["random/cuda"] = torch.cuda.get_rng_state()
    return states


def first_difference(saved: Any, given: Any, where: str) -> str | None:
    """The first field in which two plain values differ, with both values; None when they are equal."""
    if isinstance(saved, dict) and isinstance(given, dict):
        pairs = [(key, saved.get(key), given.get(key)) for key in sorted(saved.keys() | given.keys())]
    elif isinstance(saved, list) and isinstance(given, list) and len(saved) == len(given):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(saved, given, strict=True))]
    else:
        return None if saved == given else f"{where} was {shown(saved)}, now {shown(given)}"
    return next((d for key, a, b in pairs if (d := first_difference(a, b, f"{where}.{key}"))), None)
