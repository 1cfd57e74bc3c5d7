"""Options that name a vision encoder, and the pictures that it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.checkpoints.backbone.opening import open_vision, untrained
from tessera.cli.command import ReportingCommand
from tessera.evaluation.embedding.folders import pictures_below
from tessera.runtime.shown import shown


@dataclass(frozen=True, kw_only=True)
class EncoderCommand(ReportingCommand):
    """A command that opens a vision encoder."""

    model: str | None = None
    """InternViT or a model that has one: folder, name or file of weights; the shipped one by default."""
    device: str = "auto"
    """Where to run: auto, cpu, cuda."""
    dtype: str = "auto"
    """Number format of the weights: auto (as stored), bfloat16, float32, float16."""

    untrained: bool = False
    """Draw the encoder's weights anew, to see what training gave it."""

    def opened(self, learns: bool = False) -> VisionEncoder:
        """The encoder; one that learns has plain matrices in float32."""
        dtype = "float32" if learns and self.dtype == "auto" else self.dtype
        found = open_vision(self.model, self.device, dtype, linears="plain" if learns else None)
        return untrained(found) if self.untrained else found


def picture_files(given: Sequence[str]) -> list[Path]:
    """Files, and every picture below folders, in order. ValueError for what is not there or holds none."""
    found: list[Path] = []
    for place in map(Path, given):
        if not place.exists():
            raise ValueError(f"PICTURES {shown(place)}: no such file or folder")
        here = pictures_below(place) if place.is_dir() else [place]
        if not here:
            raise ValueError(f"PICTURES {shown(place)}: no picture below it")
        found += here
    if not found:
        raise ValueError("PICTURES: none given; name files or folders")
    return found
