"""Everything needed to go on exactly: trained weights, optimizer and data position, without pickle.

A state is a folder, written aside, put on the disk, then renamed. The one before stays: whatever stops a run
at any instant, one of the two is whole. Digests of all files tell a damaged one. What no stage has trained up
to now is not in it: the recipe's start has it.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from tessera.nn.lora import own_name
from tessera.runtime.atomic import begin_folder, end_folder, remove
from tessera.runtime.disk import disk_faults, file_digest, sync
from tessera.runtime.shown import shown
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.ranks import ALONE, Ranks, totals
from tessera.train.state.shards import Part, own_parts, read_parts, stored, write_parts
from tessera.train.update.masters import Masters
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
    skipped: int = 0
    """Steps of the stage that were no number."""
    objective: dict[str, float] = field(default_factory=dict)
    """What the stage's objective remembers."""

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

    def restore(
        self, model: nn.Module, masters: Masters, optimizer: Optimizer | None, trained: Collection[str]
    ) -> None:
        """Weights that were `trained` up to here, with their masters, and the optimizer's memory into objects
        of the same recipe, whole or sharded.

        Before the first step there is nothing to restore: the recipe makes the same model again.
        """
        if self.position.name == RunPosition().name:
            return
        found = stored(self.folder)
        own_names = ((own_name(path), parameter) for path, parameter in model.named_parameters())
        weights = {name: parameter for name, parameter in own_names if name in trained}
        for name in weights | found:
            if "/" not in name and (name not in weights or found.get(name, [()])[0] != weights[name].shape):
                raise ValueError(f"{shown(self.folder)}: no {name} of this model; use another --out")
        into = {
            name: torch.empty_like(p, dtype=found[name][1], requires_grad=False)
            for name, p in weights.items()
        }
        memory: dict[str, torch.Tensor] = {}
        if optimizer is not None:
            own = optimizer.state_tensors()
            kept = {name: shape for name, (shape, _) in found.items() if "/" in name}
            memory = {name: own.get(name, torch.empty(shape)) for name, shape in kept.items()}
        read_parts(self.folder, into | memory)
        for name, value in into.items():
            masters.load(name, weights[name], value)
        if optimizer is not None:
            optimizer.load_state_tensors(memory)


class StateFolder:
    """The states of a run: the newest whole one, and the one before. All its ranks write into one folder.

    background: tensors are copied to host memory, and written while the run goes on. A state counts from
    `commit` on, which all ranks call together when all have `written` theirs.
    """

    def __init__(self, folder: Path, mesh: ProcessMesh | None = None, background: bool = False) -> None:
        self._mesh = mesh or ProcessMesh()
        self.folder, self.ranks, self.background = folder, self._mesh.ranks, background
        self.damaged: list[str] = []
        """What `newest` passed over, a line each."""
        self._last: Path | None = None
        self._writer = ThreadPoolExecutor(max_workers=1)
        self._pending: _Pending | None = None

    def newest(self) -> SavedState | None:
        """The newest whole state, None when there is no trace of one. Damaged ones are passed over.

        The rank that leads looks, and tells the others. ValueError when there are only damaged ones, and for
        a state of a Tessera that kept no digests.
        """
        found = self._newest() if self.ranks.leads else None
        at = (found.position.stage + 1, found.position.step) if found else (0, 0)
        stage, step = map(int, totals(at if self.ranks.leads else (0, 0), self.ranks))
        if stage and found is None:
            folder = self.folder / RunPosition(stage - 1, step).name
            if not (folder / FACTS).is_file():
                raise ValueError(f"--out: {shown(folder)} is not here; use a disk that all processes share")
            found = _read(folder)
        self._last = found.folder if found else None
        return found

    def _newest(self) -> SavedState | None:
        if (self.folder / FACTS).exists():
            raise ValueError(
                f"{shown(self.folder)} is of an earlier version and can't be checked: end the run with that "
                "version, or use another --out"
            )
        self.damaged = []
        for folder in sorted(self._states(), key=_order, reverse=True):
            try:
                _require_digests(folder)
                return _read(folder)
            except PermissionError:
                raise  # may be whole
            except (ValueError, OSError) as error:
                self.damaged.append(f"{shown(folder)} is damaged ({shown(error)})")
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
        """Write aside, then rename; of the others the last whole one stays. `exact` are the weights to keep.

        ValueError when the disk refuses: what is there stays as it is.
        """
        self._write(position, run, {WEIGHTS: dict(exact), MEMORY: optimizer.state_tensors()})

    @property
    def written(self) -> bool:
        """Whether this rank's part of a state is on the disk, to be committed. Raises what stopped it."""
        if self._pending is None or not self._pending.parts.done():
            return False
        self._pending.parts.result()
        return True

    def commit(self) -> None:
        """Wait for all parts of the state that is being written, and give it its name."""
        if (pending := self._pending) is None:
            return
        self._pending = None
        try:
            pending.parts.result()
            totals([0.0], self.ranks)  # here all ranks have written theirs
            if self.ranks.leads:
                with disk_faults(pending.target):
                    _seal(pending.fresh, pending.facts)
                    end_folder(pending.fresh, pending.target)
        finally:
            if self.ranks.leads:
                remove(pending.fresh)
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
        totals([0.0], self.ranks)  # from here on all find the folder
        copied = self.background and bool(tensors)
        parts = {name: own_parts(values, self._mesh, copied) for name, values in tensors.items()}
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
        number = "" if ranks.world == 1 else f"-{ranks.rank}"
        files = {name: fresh / f"{name}{number}.safetensors" for name in parts}
        for name, file in files.items():
            write_parts(file, parts[name])
        digests = fresh / f"{ranks.rank}-{DIGESTS}"
        digests.write_text(
            json.dumps({file.name: file_digest(file) for file in files.values()}), encoding="utf-8"
        )
        for file in (*files.values(), digests):
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


def require_finite(model: nn.Module, ranks: Ranks = ALONE) -> None:
    """FloatingPointError on all ranks, naming the first weights of this one that are not finite.

    Clipping keeps memory finite.
    """
    parts = ((n, p.to_local() if isinstance(p, DTensor) else p) for n, p in model.named_parameters())
    found = next((name for name, part in parts if not part.isfinite().all()), None)
    if totals([found is not None], ranks)[0]:
        raise FloatingPointError(
            f"{found or 'a weight'} is not finite: the run diverged; lower learning_rate"
        )


def _order(folder: Path) -> tuple[int, ...]:
    found = _NAME.fullmatch(folder.name)
    assert found is not None
    return tuple(map(int, found.groups()))


def _require_digests(folder: Path) -> None:
    """ValueError or OSError for a state whose files are not what was written."""
    digests = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
    if not isinstance(digests, dict) or FACTS not in digests:
        raise ValueError(f"{DIGESTS} names no {FACTS}")
    for name, digest in digests.items():
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
        if file_digest(folder / name) != digest:
            raise ValueError(f"{name} is not what was written")


def _read(folder: Path) -> SavedState:
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    position = RunPosition(
        *(facts["stage"], facts["step"], facts["loader"]),
        *(facts.get("skipped", 0), facts.get("objective", {})),
    )
    if position.name != folder.name:
        raise ValueError(f"it is {position.name} by its content")
    return SavedState(folder, position, facts["run"])
