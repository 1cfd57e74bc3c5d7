"""Options that name a contrastive pair, and what opens it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tessera
from tessera.cli.command import ReportingCommand
from tessera.engine.embedding.embedder import Embedder
from tessera.runtime.shown import shown


@dataclass(frozen=True, kw_only=True)
class EmbeddingCommand(ReportingCommand):
    """A command that asks a model of pictures and texts in one space."""

    model: str
    """Checkpoint folder, or a name such as OpenGVLab/InternVL-14B-224px."""
    mode: str = "c"
    """How pictures are embedded: c, or g where queries read the picture, too."""
    device: str = "auto"
    """Where to run: auto, cpu, cuda."""
    dtype: str = "auto"
    """Number format of the weights: auto (as stored), bfloat16, float32, float16."""

    def opened(self) -> Embedder:
        """The model. ValueError for one that only chats, and for a mode that it does not have."""
        model = require_pair(tessera.load(self.model, self.device, self.dtype), self.model)
        if self.mode not in model.modes:
            raise ValueError(f"--mode {shown(self.mode)}: {model.name} has {', '.join(model.modes)}")
        return model


def require_pair(model: object, name: str) -> Embedder:
    """The model itself. ValueError for one that does not embed pictures and texts."""
    if isinstance(model, Embedder):
        return model
    raise ValueError(
        f"--model {shown(name)}: a chat model, which puts pictures and texts into no common space; give a "
        "contrastive pair such as OpenGVLab/InternVL-14B-224px"
    )


def require_there(files: tuple[str, ...], option: str) -> None:
    """ValueError naming the first file that is not there."""
    for file in files:
        if not Path(file).exists():
            raise ValueError(f"{option} {shown(file)}: no such file")
