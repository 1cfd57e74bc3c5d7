"""Whisper's encoder on streams without padding (docs/facts/audio.md).

Two convolutions, sines and cosines, pre-norm blocks, pooling by average, last LayerNorm. States of several
sounds lie end to end. With `mask_padding` the silence behind a sound has no states at all: a sound's own are
then what a padded batch under a mask gives. `N` sounds, `W` columns, `L` states, `M` tokens, `D` width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from tessera.models.audio_encoder.config import AudioConfig
from tessera.nn.attention.api import Attend
from tessera.nn.attention.layout import Packed
from tessera.nn.mlp import MLP
from tessera.nn.recompute import Recompute, run_block

NORM_EPS = 1e-5


class Heard(Protocol):
    """A spectrogram without the silence behind the sound (`audio.mel.LogMel`)."""

    @property
    def values(self) -> Any:
        """float32 [bands, W], an array or a tensor."""

    @property
    def frames(self) -> int:
        """Columns that count."""

    def whole(self, frames: int) -> Any:
        """float32 [bands, frames], silence behind the sound included."""


class AudioAttention(nn.Module):
    """Every state sees its whole sequence; keys have no bias."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        width = config.d_model
        self.heads = config.encoder_attention_heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)
        self.attend = Attend()

    def forward(self, x: torch.Tensor, layout: Packed) -> torch.Tensor:
        """[L, D] to [L, D]."""
        parts = (self.q_proj(x), self.k_proj(x), self.v_proj(x))
        q, k, v = (part.unflatten(-1, (self.heads, -1)) for part in parts)  # [L, H, C]
        out: torch.Tensor = self.proj(self.attend(q, k, v, layout).flatten(1))
        return out


class AudioBlock(nn.Module):
    """Pre-norm block with the exact GELU."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.d_model, NORM_EPS)
        self.attn = AudioAttention(config)
        self.norm2 = nn.LayerNorm(config.d_model, NORM_EPS)
        self.mlp = MLP(config.d_model, config.encoder_ffn_dim)

    def forward(self, x: torch.Tensor, layout: Packed) -> torch.Tensor:
        """[L, D] to [L, D]."""
        x = x + self.attn(self.norm1(x), layout)
        out: torch.Tensor = x + self.mlp(self.norm2(x))
        return out


class AudioEncoder(nn.Module):
    """The encoder of a config."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute: Recompute = "none"
        self.conv1 = nn.Conv1d(config.num_mel_bins, config.d_model, 3, padding=1)
        self.conv2 = nn.Conv1d(config.d_model, config.d_model, 3, stride=2, padding=1)
        self.positions = nn.Parameter(_sinusoids(config.max_source_positions, config.d_model))
        self.layers = nn.ModuleList(AudioBlock(config) for _ in range(config.encoder_layers))
        self.norm = nn.LayerNorm(config.d_model, NORM_EPS)

    def forward(self, mel: torch.Tensor, frames: Sequence[int]) -> torch.Tensor:
        """Spectrograms float [N, bands, W], of whose columns `frames` count, to tokens [M, D] end to end.

        With `mask_padding` W may end two columns behind the longest sound; without it W is `most_frames`.
        Raises ValueError for spectrograms of another shape, and for a sound too long or too short.
        """
        self._check(mel, frames)
        config = self.config
        states = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)  # [N, W / 2, D]
        states = states + self.positions[: states.shape[1]]
        valid = [config.states(count) for count in frames]
        lengths = valid if config.mask_padding else [states.shape[1]] * len(valid)
        x = torch.cat([own[:length] for own, length in zip(states, lengths, strict=True)])  # [L, D]
        layout = Packed(tuple(lengths), causal=False)
        for layer in self.layers:
            x = run_block(layer, self.recompute, x, layout)
        counts = [config.tokens(count) * config.pool for count in frames]
        kept = torch.cat([own[:count] for own, count in zip(x.split(lengths), counts, strict=True)])
        if config.pool_before_norm:
            out: torch.Tensor = self.norm(_averaged(kept, config.pool))
            return out
        return _averaged(self.norm(kept), config.pool)

    def listen(self, sounds: Sequence[Heard]) -> torch.Tensor:
        """Spectrograms to tokens [M, D] end to end; their values may lie anywhere."""
        like, config = self.conv1.weight, self.config
        if config.mask_padding:
            values = [torch.as_tensor(sound.values) for sound in sounds]
            wide = max(value.shape[1] for value in values)
            mel = torch.stack([F.pad(value, (0, wide - value.shape[1])) for value in values])
        else:
            mel = torch.stack([torch.as_tensor(sound.whole(config.most_frames)) for sound in sounds])
        tokens: torch.Tensor = self(mel.to(like.device, like.dtype), [sound.frames for sound in sounds])
        return tokens

    def _check(self, mel: torch.Tensor, frames: Sequence[int]) -> None:
        config = self.config
        if mel.dim() != 3 or mel.shape[1] != config.num_mel_bins or len(mel) != len(frames):
            raise ValueError(
                f"mel {tuple(mel.shape)} for {len(frames)} sounds: expected [N, {config.num_mel_bins}, W]"
            )
        wide, least = mel.shape[2], config.most_frames
        if wide > least or (wide < least and not config.mask_padding):
            raise ValueError(
                f"mel has {wide} columns: this encoder takes {'at most ' if config.mask_padding else ''}"
                f"{least}; cut the sound"
            )
        for count in frames:
            if not config.tokens(count) or wide < min(count + 2, least):
                raise ValueError(
                    f"frames = {count} of {wide} columns: a sound has {2 * config.pool - 1} at the least, "
                    "and two columns behind it unless it is the longest"
                )


def _averaged(states: torch.Tensor, pool: int) -> torch.Tensor:
    """[M * pool, D] to [M, D]."""
    return states if pool == 1 else states.unflatten(0, (-1, pool)).mean(1)


def _sinusoids(length: int, width: int) -> torch.Tensor:
    """[length, width]: sines, then cosines, of wavelengths up to 10,000, as Whisper starts from them."""
    half = width // 2
    speeds = torch.exp(-torch.log(torch.tensor(10_000.0)) * torch.arange(half) / max(1, half - 1))
    angles = torch.arange(length)[:, None] * speeds
    return torch.cat((angles.sin(), angles.cos()), dim=1)
