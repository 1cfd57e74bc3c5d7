"""Options that name a vision encoder, and the pictures that it sees."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.checkpoints.backbone.opening import open_vision, untrained
from tessera.cli.command import ReportingCommand


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
