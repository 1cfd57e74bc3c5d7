"""What the loop asks of an objective and of its batches, and what it gives them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from pydantic import Field, field_validator

from tessera.curation.check import CheckReport
from tessera.imaging.grid import MOST_TILES
from tessera.packing.config import Limits, PackingConfig
from tessera.records.manifest import DatasetSpec, PlaygroundSource, read_meta
from tessera.records.source import WeightedSource
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress, silent
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.ranks import Ranks


class ManifestSpec(Config):
    """The user's own data: an InternVL meta file; every record is checked before the first step."""

    meta: str
    """Path of the meta JSON file, or of YAML of the same shape."""
    max_dynamic_patch: int | None = Field(default=None, gt=0, le=MOST_TILES)
    """Tile limit of its datasets that name none; None takes the encoder's."""
    token_share: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Share of the tokens that its datasets give, relative to the other sources; None mixes by draws."""

    def read(self) -> tuple[DatasetSpec, ...]:
        """Its datasets, with the limit where they name none. ValueError as `read_meta` raises it."""
        limit = {"max_dynamic_patch": self.max_dynamic_patch}
        found = read_meta(self.meta)
        return tuple(d if d.max_dynamic_patch else d.model_copy(update=limit) for d in found)


class StageData(Config):
    """The part of a stage that its objective reads: data, and how it becomes the batches of a step."""

    name: str
    """Of its folder in the run, too: letters, digits and _ . - alone."""
    sources: tuple[PlaygroundSource | ManifestSpec, ...] = Field(min_length=1)
    packing: PackingConfig = PackingConfig()
    validation: tuple[str, ...] = ()
    """Manifests of records that are not trained on: the loss on them is measured on the way."""
    validate_every: int = Field(default=100, gt=0)
    """Steps between two measurements; one stands at the end of the stage in any case."""
    validation_packs: int = Field(default=8, gt=0)
    """Packs of a measurement at most, always the same ones."""
    accumulate: int = Field(default=1, gt=0)
    """Batches per optimizer step, over all processes; a multiple of their number."""

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError("a folder of the run gets this name: take letters, digits and _ . - alone")
        return name


@dataclass(frozen=True)
class Counts:
    """What a batch holds; `trained` are supervised tokens (pairs for the contrastive objective)."""

    samples: int = 0
    tokens: int = 0
    tiles: int = 0
    trained: int = 0
    pairs: int = 0
    """Pairs of tokens that see each other, and every token with itself."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))


class Loader(Protocol):
    """Batches without end or for some epochs, with a position that can be saved."""

    @property
    def stats(self) -> Any:
        """`token_fill` and `tile_fill`, shares from 0 to 1; `seen`, a tally of each source by name."""

    @property
    def keys(self) -> Sequence[str]:
        """`source:record` of every sample of the step given last, those of all ranks."""

    def __iter__(self) -> Iterator[Any]: ...

    def __next__(self) -> Any: ...

    def next_step(self) -> list[Any]:
        """This rank's batches of the next step. StopIteration on all ranks at the end of the data."""

    def state_dict(self) -> dict[str, Any]:
        """The position as plain JSON values."""

    def load_state_dict(self, state: dict[str, Any], changed_data: bool = False) -> None:
        """Go on from a saved position; `changed_data`: although the sources have changed."""

    def close(self) -> None:
        """Stop workers."""


Tensors = Iterable[tuple[str, torch.Tensor]]
"""Own names and values of all weights, one at a time."""
Sources = tuple[WeightedSource, ...]
Checked = tuple[Sources, CheckReport]
"""The sources of a stage as far as they may be used, and what was found in them."""


class Objective(Protocol):
    """Settings of what is minimised; all else follows from the arguments."""

    learner: ClassVar[type[Any]]
    """What it trains: `start(start, seed, still)` makes a `model`, `save(folder, card, tensors)` writes it
    for other rooms; what has `adapter` also writes LoRA factors apart. Objectives of the same learner may
    follow each other in a run."""
    batch: ClassVar[type[Any]]
    """What its loader gives: a frozen dataclass of tensors and plain values."""

    def check(self, data: StageData, learner: Any, progress: Progress = silent) -> Checked:
        """Open and check the sources before the first step. ValueError with all that is wrong."""

    def loader(
        self, data: StageData, learner: Any, sources: Sources, seeds: tuple[int, int], ranks: Ranks
    ) -> Loader:
        """This rank's batches of the checked sources; `seeds` are recipe seed and stage number."""

    def batches_per_pass(self, data: StageData, learner: Any, sources: Sources) -> float:
        """About how many batches hold every record once. ValueError for sources without an end."""

    def weight(self, batch: Any) -> float:
        """The batch's share of the normaliser, without a forward pass."""

    def loss_sum(self, model: Any, batch: Any, device: torch.device) -> torch.Tensor:
        """Loss times weight, summed: float32 scalar with a graph."""

    def counts(self, batch: Any) -> Counts:
        """For telemetry."""

    def keys(self, batch: Any) -> tuple[str, ...]:
        """Names of its samples, the same in every run."""

    def alone(self, batch: Any) -> Sequence[Any]:
        """A batch for each of its samples, or the whole where a loss needs them together."""

    def idle(self, model: Any, batch: Any | None, tiles: bool) -> Any:
        """A batch without tiles, with `tiles` beside one that nobody sees; for None one whose loss the caller
        weighs with zero. Only sharded models ask for it."""


@dataclass(frozen=True)
class Beginning:
    """Where a stage begins: its model has the weights that the stage starts from, on its device."""

    data: StageData
    learner: Any
    sources: Sources
    mesh: ProcessMesh
    device: torch.device
    progress: Progress = silent


@runtime_checkable
class Running(Protocol):
    """What an objective that remembers offers besides, while its stage runs.

    Ranks meet in its `loss_sum`: all make the same number of calls.
    """

    def state_dict(self) -> dict[str, float]:
        """What a resumed run needs, as plain JSON values; the same on all ranks."""

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from there."""

    def held_out(self, beginning: Beginning) -> Any:
        """Itself for records held out, the sources of another beginning: with the same memory."""

    def figures(self) -> dict[str, torch.Tensor]:
        """Of the step that ends, over all ranks: float64 scalars on the device. All ranks ask."""


@runtime_checkable
class Beginnable(Protocol):
    """An objective that remembers something from batch to batch, or looks at other weights."""

    def begin(self, beginning: Beginning) -> Any:
        """Itself, `Running`, for a stage that begins or goes on. ValueError naming what is wrong."""

    def assumed(self, device: torch.device) -> Any:
        """Itself, `Running`, with nothing to compare with: to weigh a step."""

    def beside(self, weights: int) -> int:
        """Bytes of other weights that it holds, where those of the model take so many."""


@runtime_checkable
class Fillable(Protocol):
    """An objective whose batches can take the shape of full ones; `Stage.compile` asks for it."""

    def filled(self, model: Any, batch: Any, limits: Limits) -> Any:
        """The batch padded up to the limits; its loss stays what it is."""
