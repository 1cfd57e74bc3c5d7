"""What a model that hears is made of: InternVL's parts, and the two of sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tessera.models.accounting import Weights
from tessera.models.audio_encoder.config import AudioConfig, Hearing
from tessera.models.config import VLMConfig

if TYPE_CHECKING:
    from torch import nn


class OmniConfig(VLMConfig):
    """InternVL with Whisper's encoder (`audio`) and the MLP behind it (`audio_connector`, `mlp2`)."""

    audio: AudioConfig
    audio_token_id: int
    """Id of the placeholder of sounds, looked up by string in the tokenizer."""

    @property
    def hearing(self) -> Hearing:
        return Hearing(self.audio_token_id, self.audio)

    @property
    def label(self) -> str:
        """With Whisper's encoder in the middle."""
        vision, _, decoder = super().label.partition(" + ")
        return f"{vision} + Whisper {self.audio.encoder_layers}×{self.audio.d_model} + {decoder}"

    def describe_parts(self) -> dict[str, str]:
        """Those of sounds behind those of pictures."""
        parts = super().describe_parts()
        seen = "sees its own sound alone" if self.audio.mask_padding else "sees the silence behind it, too"
        return {
            "vision": parts["vision"],
            "connector": parts["connector"],
            "audio": f"Whisper's encoder: {self.audio.description}; a state {seen}",
            "audio_connector": f"{self.audio.d_model} to {self.decoder.hidden_size} channels in two layers",
            "decoder": parts["decoder"],
        }

    def build_parts(self) -> dict[str, nn.Module]:
        """InternVL's, with the encoder of sounds and its MLP in front of the decoder."""
        from tessera.models.audio_encoder.connector import AudioConnector
        from tessera.models.audio_encoder.whisper import AudioEncoder

        parts = super().build_parts()
        return {
            "vision": parts["vision"],
            "connector": parts["connector"],
            "audio": AudioEncoder(self.audio),
            "audio_connector": AudioConnector(self.audio.d_model, self.decoder.hidden_size),
            "decoder": parts["decoder"],
        }

    def part_weights(self) -> dict[str, Weights]:
        """The second MLP has a norm and two linears with biases."""
        parts, width, inner = super().part_weights(), self.decoder.hidden_size, self.audio.d_model
        connector = Weights(2 * inner + (inner + 1) * width + (width + 1) * width)
        return {
            "vision": parts["vision"],
            "connector": parts["connector"],
            "audio": self.audio.weights(),
            "audio_connector": connector,
            "decoder": parts["decoder"],
        }
