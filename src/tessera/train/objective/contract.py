"""What the loop asks of an objective, of its learner and of its batches, and what it gives them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import torch
from pydantic import Field
from torch import nn

from tessera.curation.check import CheckReport
from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.records.source import WeightedSource
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed
from tessera.train.parallel import ALONE, Ranks


class ManifestSpec(Config):
    """The user's own data: an InternVL meta file; every record is checked before the first step."""

    meta: str
    """Path of the meta JSON file."""


SourceSpec = PlaygroundSource | ManifestSpec


class StageData(Config):
    """The part of a stage that its objective reads: data, and how it becomes the batches of a step."""

    name: str
    sources: tuple[SourceSpec, ...]
    packing: PackingConfig = PackingConfig()
    accumulate: int = Field(default=1, gt=0)
    """Batches per optimizer step, over all processes; a multiple of their number."""


class Start(Config):
    """Where the weights come from: a checkpoint folder, or parts laid over a fresh model."""

    family: str = "scale_model"
    """Name in the catalogue; decides the architecture of a fresh model."""
    checkpoint: str | None = None
    """Folder with a whole model; "shipped" is the one in the package."""
    vision: str | None = None
    """Folder with a ViT; "shipped" is the pretrained one in the package."""
    decoder: str | None = None
    """Folder with a decoder; "shipped" likewise."""


@dataclass(frozen=True)
class Place:
    """Which stage of a run, and which of its processes: a loader's seed and share follow from it."""

    seed: int
    """The recipe's."""
    stage: int
    ranks: Ranks = ALONE

    def derive(self, *parts: int) -> int:
        """The seed of a loader, the same on all ranks."""
        return derive_seed("stage", self.seed, self.stage, *parts)


@dataclass(frozen=True)
class Counts:
    """What a batch holds; `trained` are supervised tokens (pairs for the contrastive objective)."""

    samples: int = 0
    tokens: int = 0
    tiles: int = 0
    trained: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))


class Loader(Protocol):
    """Batches without end or for some epochs, with a position that can be saved."""

    stats: Any
    """`token_fill` and `tile_fill`, shares from 0 to 1."""

    def __next__(self) -> Any: ...

    def next_step(self) -> list[Any]:
        """This rank's batches of the next step. StopIteration on all ranks at the end of the data."""

    def state_dict(self) -> dict[str, Any]:
        """The position as plain JSON values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved position."""

    def close(self) -> None:
        """Stop workers."""


class Learner(Protocol):
    """The model of a run with all that reads for it and saves it. The stages of a run share one."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    @classmethod
    def start(cls, start: Start, seed: int) -> Self:
        """The model as `start` asks, in float32; `seed` is the recipe's."""

    def save(self, folder: Path, card: dict[str, object]) -> None:
        """Write the model in the layout that the other rooms open."""


Checked = tuple[tuple[WeightedSource, ...], CheckReport]
"""The sources of a stage as far as they may be used, and what was found in them."""


class Objective(Protocol):
    """Settings of what is minimised; all else follows from the arguments."""

    learner: ClassVar[type[Any]]
    """The `Learner` that it trains; objectives of the same one may follow each other in a run."""

    def check(self, data: StageData, learner: Any, progress: Progress = silent) -> Checked:
        """Open and check the sources before the first step. ValueError with all that is wrong."""

    def loader(
        self, data: StageData, learner: Any, sources: tuple[WeightedSource, ...], place: Place
    ) -> Loader:
        """The batches of a stage, from the sources that `check` gave."""

    def weight(self, batch: Any) -> float:
        """The batch's share of the normaliser, without a forward pass."""

    def loss_sum(self, model: Any, batch: Any, device: torch.device) -> torch.Tensor:
        """Loss times weight, summed: float32 scalar with a graph."""

    def counts(self, batch: Any) -> Counts:
        """For telemetry."""
