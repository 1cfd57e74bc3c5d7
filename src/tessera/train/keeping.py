"""What a run keeps on the disk: states to go on from, and models for other rooms."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import nn

from tessera.runtime.device import choose_device, choose_dtype
from tessera.runtime.disk import require_writable
from tessera.runtime.shown import shown
from tessera.train.objective.contract import Tensors
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.shard import whole
from tessera.train.publish import Publisher
from tessera.train.setup import Setup
from tessera.train.state.change import changed
from tessera.train.state.folder import RunPosition, StateFolder, require_finite
from tessera.train.state.resume import find_state, room_for_run, run_facts
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer

BEST = "best"
"""Folder of the model of the best step."""


class Keeper:
    """The folder of a run. Made before anything is wrapped; `saved` is the state that it goes on from.

    ValueError when another run stands there, or a damaged one.
    """

    def __init__(
        self, setup: Setup, folder: Path, mesh: ProcessMesh, masters: Masters, changed_data: bool = False
    ) -> None:
        self._recipe, self._folder, self._ranks, self._masters = setup.recipe, folder, mesh.ranks, masters
        self._model: nn.Module = setup.learner.model
        self._device = choose_device(self._recipe.device)
        self.states = StateFolder(folder / "state", mesh, background=self._in_background())
        self._run = run_facts(setup)
        self.saved = find_state(folder, self.states, self._run, changed_data)
        self._publisher = Publisher(setup, folder)
        if mesh.weights is not None:
            self._publisher.require_one_wrapping()

    def begin(self) -> None:
        """Let a run that begins be told from an empty folder."""
        if self.saved is None:
            self.states.begin(self._run)

    def require_room(self, begun: int) -> None:
        """ValueError when the disk can't take what stages from `begun` on write."""
        stages = self._recipe.stages
        if self._ranks.leads and begun < len(stages):
            room = room_for_run(self._model, stages, begun, self.states)
            require_writable(self._folder, room, folder=True)

    def restore(self, optimizer: Optimizer | None) -> None:
        """Bring the model, wrapped as its stage wants it, and an optimizer to the saved state."""
        assert self.saved is not None
        trained = changed(self._model, self._recipe.stages, self.saved.position)
        self.saved.restore(self._model, self._masters, optimizer, trained)

    def save(self, position: RunPosition, optimizer: Optimizer) -> None:
        """A state. FloatingPointError when a weight is not finite."""
        optimizer.settle()
        self._require_finite(f"before stage {position.stage}, step {position.step}")
        trained = changed(self._model, self._recipe.stages, position)
        exact = ((name, value) for name, value in self._masters.exact(self._model) if name in trained)
        self.states.save(position, self._run, exact, optimizer)

    def stage_folder(self, index: int) -> Path:
        """Where the model of a finished stage is written."""
        return self._publisher.stage_folder(index)

    def base(self, index: int) -> None:
        """The weights under a stage's factors, where they lie nowhere yet; before its first step."""
        if self._publisher.writes_base(index):
            self._publish(partial(self._publisher.write_base, index))

    def best(self, index: int, optimizer: Optimizer) -> None:
        """The model as it stands, the best one so far of its stage."""
        optimizer.settle()
        self._publish(partial(self._publisher.write, self._folder / BEST, index))

    def stage(self, index: int, optimizer: Optimizer) -> None:
        """The model of a finished stage, and the mean of its weights. FloatingPointError as in `save`."""
        folder, averages = self.stage_folder(index), optimizer.averages()
        self._require_finite(folder.name)
        optimizer.settle()
        self._publish(partial(self._publisher.write, folder, index))
        if averages:
            smooth = folder.with_name(f"{folder.name}_ema")
            self._publish(partial(self._publisher.write, smooth, index), averages)

    def diverged(self, what: str) -> FloatingPointError:
        """The end of a run that is no number any more."""
        return FloatingPointError(
            f"{what}, in another --out. The last good state is kept in {shown(self.states.folder)}"
        )

    def _publish(
        self, write: Callable[[Tensors], None], instead: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        """Weights for other rooms: sharded ones come together one at a time, on the rank that writes."""
        named = self._recipe.save_dtype
        dtype = None if named == "start" else choose_dtype(named, self._device)
        tensors = whole(self._masters.as_stored(self._model, instead or {}, dtype))
        if self._ranks.leads:
            write(tensors)
        for _ in tensors:  # what others have to take part in
            pass

    def _require_finite(self, where: str) -> None:
        try:
            require_finite(self._model, self._ranks)
        except FloatingPointError as error:
            raise self.diverged(f"{where}: {error}") from error

    def _in_background(self) -> bool:
        """Whether states are written while the run goes on: by default beside an accelerator, for on a CPU it
        takes a second copy of weights and memory, and the processor."""
        wanted = self._recipe.save_in_background
        return self._device.type != "cpu" if wanted is None else wanted
