"""Everything needed to go on exactly: trained weights, optimizer and data position, without pickle.

A state is a folder, written aside, put on the disk, then renamed. The one before stays: whatever stops a run
at any instant, one of the two is whole. Digests of all files tell a damaged one. What no stage has trained up
to now is not in it: the recipe's start has it.
"""

import json
import re
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from tessera.runtime.atomic import begin_folder, end_folder, remove
from tessera.runtime.disk import disk_faults, file_digest, sync
from tessera.runtime.shown import shown
from tessera.train.parallel.ranks import ALONE, Ranks, totals
from tessera.train.state.shards import Part, own_parts, read_parts, stored, write_parts
from tessera.train.update.optimizers import Optimizer

WEIGHTS, MEMORY, FACTS, DIGESTS = "weights", "optimizer", "state.json", "digests.json"
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

    def restore(self, model: nn.Module, optimizer: Optimizer | None) -> None:
        """Weights, optimizer memory and random state into objects built from the same recipe.

        Before the first step there is nothing to restore: the recipe makes the same model again.
        """
        if self.position.name == RunPosition().name:
            return
        parameters, found = dict(model.named_parameters()), stored(self.folder)
        into: dict[str, torch.Tensor] = {}
        memory: dict[str, torch.Tensor] = {}
        for key, (shape, dtype) in found.items():
            name, _, rest = key.partition("/")
            parameter = parameters.get(name)
            if parameter is None or not rest and parameter.shape != shape:
                raise ValueError(f"{shown(self.folder)}: no {name} of this model; use another --out")
            if not rest:
                into[key] = parameter.detach()
            elif optimizer is not None:
                memory[key] = _room(parameter, shape, dtype)
        read_parts(self.folder, into | memory)
        if optimizer is not None:
            optimizer.load_state_tensors(memory)


def _room(parameter: nn.Parameter, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """For what an optimizer remembers of a parameter: spread as that one is when it has its shape."""
    if parameter.shape == shape:
        return torch.empty_like(parameter, dtype=dtype, requires_grad=False)
    return torch.empty(shape, dtype=dtype)


class StateFolder:
    """The states of a run: the newest whole one, and the one before. All its `ranks` write into one folder.

    background: tensors are copied to host memory, and written while the run goes on. A state counts from
    `commit` on, which all ranks call together when all have `written` theirs.
    """

    def __init__(self, folder: Path, ranks: Ranks = ALONE, background: bool = False) -> None:
        self.folder, self.ranks, self.background = folder, ranks, background
        self.damaged: list[str] = []
        """What `newest` passed over, a line each."""
        self._last: Path | None = None
        self._writer = ThreadPoolExecutor(max_workers=1)
        self._pending: _Pending | None = None

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
        model: nn.Module,
        optimizer: Optimizer,
        trained: Collection[str],
    ) -> None:
        """Write aside, then rename; of the others the last whole one stays. `trained` names the weights.

        ValueError when the disk refuses: what is there stays as it is.
        """
        weights = {name: p for name, p in model.named_parameters() if name in trained}
        self._write(position, run, {WEIGHTS: weights, MEMORY: optimizer.state_tensors()})

    @property
    def written(self) -> bool:
        """Whether this rank's part of a state is on the disk and waits for `commit`. Raises what stopped it."""
        if self._pending is None or not self._pending.parts.done():
            return False
        self._pending.parts.result()
        return True

    def commit(self) -> None:
        """Wait for all parts of the state that is being written, and give it its name."""
        if (pending := self._pending) is None:
            return
        pending.parts.result()
        totals([0.0], self.ranks)  # here all ranks have written theirs
        self._pending = None
        if self.ranks.leads:
            with disk_faults(pending.target):
                _seal(pending.fresh, pending.facts)
                end_folder(pending.fresh, pending.target)
        self._last = pending.target

    def _write(
        self, position: RunPosition, run: dict[str, Any], tensors: dict[str, dict[str, torch.Tensor]]
    ) -> None:
        self.commit()
        target = self.folder / position.name
        if target == self._last:
            return  # nothing was done since
        fresh = target.with_name(f".{target.name}.unfinished")
        if self.ranks.leads:
            # First, for room: the last whole one alone has to outlive what follows.
            for left in (*self._states(), *self.folder.glob(".*.unfinished")):
                if left != self._last:
                    remove(left)
            begin_folder(target)
        totals([0.0], self.ranks)  # from here on the folder is there
        copied = self.background and bool(tensors)
        parts = {name: own_parts(values, self.ranks.leads, copied) for name, values in tensors.items()}
        work = self._writer.submit(_write_files, fresh, parts, self.ranks)
        self._pending = _Pending(fresh, target, {"run": run, **vars(position)}, work)
        if not copied:
            self.commit()

    def _states(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from (path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))


@dataclass(frozen=True)
class _Pending:
    """A state on its way: its folder, the one it becomes, what it says of the run, this rank's files."""

    fresh: Path
    target: Path
    facts: dict[str, Any]
    parts: Future[None]


def _write_files(fresh: Path, parts: dict[str, dict[str, Part]], ranks: Ranks) -> None:
    """This rank's files, on the disk, with their digests."""
    with disk_faults(fresh):
        files = []
        for name, values in parts.items():
            files.append(fresh / (f"{name}.safetensors" if ranks.world == 1 else f"{name}-{ranks.rank}.safetensors"))
            write_parts(files[-1], values)
        digests = fresh / f"{ranks.rank}-{DIGESTS}"
        digests.write_text(json.dumps({file.name: file_digest(file) for file in files}), encoding="utf-8")
        for file in (*files, digests):
            sync(file)


def _seal(fresh: Path, facts: dict[str, Any]) -> None:
    """What a state says of its run, and the digests of all its files in one."""
    digests: dict[str, str] = {}
    for file in sorted(fresh.glob(f"*-{DIGESTS}")):
        digests |= json.loads(file.read_text(encoding="utf-8"))
        file.unlink()
    (fresh / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    digests[FACTS] = file_digest(fresh / FACTS)
    (fresh / DIGESTS).write_text(json.dumps(digests, indent=1), encoding="utf-8")
    sync(fresh / FACTS)
    sync(fresh / DIGESTS)


def require_finite(model: nn.Module) -> None:
    """FloatingPointError naming the first weights that are not finite; clipping keeps memory finite."""
    for name, parameter in model.named_parameters():
        tensor = parameter.to_local() if isinstance(parameter, DTensor) else parameter
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


def first_difference(saved: Any, given: Any, where: str) -> str | None:
    """The first field in which two plain values differ, with both values; None when they are equal."""
    if isinstance(saved, dict) and isinstance(given, dict):
        pairs = [(key, saved.get(key), given.get(key)) for key in sorted(saved.keys() | given.keys())]
    elif isinstance(saved, list) and isinstance(given, list) and len(saved) == len(given):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(saved, given, strict=True))]
    else:
        return None if saved == given else f"{where} was {shown(saved)}, now {shown(given)}"
    return next((d for key, a, b in pairs if (d := first_difference(a, b, f"{where}.{key}"))), None)
