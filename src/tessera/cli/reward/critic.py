"""What the commands share that rate with a process reward model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

import tessera
from tessera.align.critics.process import ProcessCritic
from tessera.align.critics.settings import CriticSettings
from tessera.align.process.talk import SYSTEM
from tessera.cli.chat import LoadArguments
from tessera.cli.command import ReportingCommand
from tessera.cli.serving.serve import called


@dataclass(frozen=True, kw_only=True)
class RatingCommand(ReportingCommand):
    """A process reward model, and how it is asked."""

    model: str
    """The reward model: checkpoint folder, or a name such as OpenGVLab/VisualPRM-8B-v1_1."""
    loading: Annotated[LoadArguments, tyro.conf.arg(name="")] = LoadArguments()
    rating: Annotated[CriticSettings, tyro.conf.arg(name="")] = CriticSettings()
    media_root: Path | None = None
    """Folder of the pictures; that of the file which names them by default."""
    max_tiles: int | None = None
    """Tiles that the pictures of a question share; the model's own number by default."""

    def critic(self) -> ProcessCritic:
        """The model as a critic."""
        return ProcessCritic(tessera.load(self.model, **asdict(self.loading)), self.rating)

    def about(self, critic: ProcessCritic) -> dict[str, Any]:
        """What scores depend on, as plain values; the published system text stands as null."""
        settings = self.rating.model_dump(mode="json", exclude={"most_tokens"})
        system = None if critic.writer.system == SYSTEM else critic.writer.system
        settings |= {"aggregate": self.rating.chosen_aggregate, "system": system}
        asked = {"model": called(self.model), "max_tiles": self.max_tiles, **settings}
        loading = {
            name: str(value)
            for name, value in asdict(self.loading).items()
            if name != "device" and value != getattr(LoadArguments(), name)
        }
        return {**asked, **({"loading": loading} if loading else {})}
