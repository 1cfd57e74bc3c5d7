"""What an audio encoder is made of, and how many tokens a sound becomes. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import model_validator

from tessera.models.accounting import Weights, matrix
from tessera.models.numbers import Layers, Size
from tessera.runtime.config import Config


class AudioConfig(Config):
    """Whisper's encoder (docs/facts/audio.md). Names are those of transformers' WhisperConfig.

    How states become tokens was not read in a released file and stays a setting: `pool`, `pool_before_norm`
    and `mask_padding`.
    """

    num_mel_bins: Size = 128
    d_model: Size = 1280
    encoder_layers: Layers = 32
    encoder_attention_heads: Size = 20
    encoder_ffn_dim: Size = 5120
    max_source_positions: Size = 1500
    """States of the longest sound; each stands for two columns of the spectrogram."""
    pool: Size = 2
    """States that are averaged to one token."""
    pool_before_norm: bool = True
    """Whether they are averaged before the last LayerNorm, as in Qwen2-Audio, or behind it."""
    mask_padding: bool = True
    """Whether states of a sound see that sound alone; else they see the silence behind it, up to the longest
    sound, as in Whisper."""

    @model_validator(mode="after")
    def _fitting(self) -> AudioConfig:
        if self.d_model % self.encoder_attention_heads:
            raise ValueError(
                f"d_model {self.d_model} is not a multiple of encoder_attention_heads "
                f"{self.encoder_attention_heads}"
            )
        if self.d_model % 2:
            raise ValueError(f"d_model {self.d_model} is odd, but positions are sines and cosines in pairs")
        return self

    @property
    def most_frames(self) -> int:
        """Columns of the spectrogram of the longest sound: 3,000 for 30 s."""
        return 2 * self.max_source_positions

    def states(self, frames: int) -> int:
        """States behind the two convolutions, of which the second has stride 2."""
        return (frames - 1) // 2 + 1 if frames > 0 else 0

    def tokens(self, frames: int) -> int:
        """Tokens of a sound whose spectrogram has so many columns: 25 a second at 100 columns.

        Prompts and features are counted by this function alone: 1 s 25, 2.5 s 62, 30 s 750.
        """
        return self.states(frames) // self.pool

    @property
    def description(self) -> str:
        """Layers and widths, for people."""
        pooled = f", {self.pool} states become one token" if self.pool > 1 else ""
        return (
            f"{self.encoder_layers} layers of {self.d_model} channels, {self.encoder_attention_heads} heads, "
            f"{self.num_mel_bins} mel bands{pooled}"
        )

    def weights(self) -> Weights:
        """Weights of convolutions, positions, blocks and the last norm."""
        width, inner = self.d_model, self.encoder_ffn_dim
        block = (
            matrix(width, width, bias=True) * 3
            + matrix(width, width)
            + matrix(inner, width, bias=True)
            + matrix(width, inner, bias=True)
            + Weights(4 * width)
        )
        convolutions = 3 * (self.num_mel_bins + width) * width + 2 * width
        rest = convolutions + self.max_source_positions * width + 2 * width
        return block * self.encoder_layers + Weights(rest)


@dataclass(frozen=True)
class Hearing:
    """What a model that hears says of it: the placeholder's id, and its encoder."""

    token_id: int
    audio: AudioConfig
