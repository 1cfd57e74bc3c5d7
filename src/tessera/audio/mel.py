"""The log-mel spectrogram of Whisper: windows of 25 ms every 10 ms, mel bands by Slaney's formula.

Equal to transformers' WhisperFeatureExtractor (n_fft 400, hop 160, 30 s, no dither). A spectrogram is kept
without the silence behind the sound: what is left out has one value everywhere, its `floor`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from tessera.audio.decode import RATE

WINDOW, HOP = 400, 160
"""Samples of a window, and from one to the next."""
WHOLE_SECONDS = 30
FRAMES = WHOLE_SECONDS * RATE // HOP
"""Columns of a spectrogram of 30 s: 3,000."""
EDGE = 4
"""Columns behind the sound that may hear its end, with room to spare."""
SILENCE = -1.5
"""What complete silence becomes: (log10(1e-10) + 4) / 4 with a floor of its own."""
DEPTH = 2.0
"""From the loudest value to the floor: 80 dB."""


@dataclass(frozen=True, eq=False)
class LogMel:
    """values float32 [bands, W], W at least the columns that hear the sound; frames: S // 160 of its samples.

    Behind W every value is `floor`, up to 30 s.
    """

    values: NDArray[np.float32] = field(repr=False)
    frames: int

    @property
    def floor(self) -> float:
        """The value of silence behind this sound."""
        return max(SILENCE, float(self.values.max()) - DEPTH)

    def whole(self, frames: int = FRAMES) -> NDArray[np.float32]:
        """float32 [bands, frames], the silence behind the sound included."""
        behind = frames - self.values.shape[1]
        return np.pad(self.values, ((0, 0), (0, behind)), constant_values=np.float32(self.floor))


def log_mel(samples: NDArray[np.float32], bands: int = 128, frames: int = FRAMES) -> LogMel:
    """The spectrogram of mono samples float32 [S] at 16 kHz. ValueError for more than `frames` of them."""
    count, most = len(samples), frames * HOP
    if samples.ndim != 1 or not 0 < count <= most:
        raise ValueError(
            f"samples {samples.shape}: one window takes 1 to {most} samples ({most / RATE:g} s), one channel"
        )
    padded = min(most, (count // HOP + EDGE) * HOP)
    wave = torch.zeros(padded)
    wave[:count] = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
    waves = torch.stft(
        wave, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True
    )  # [WINDOW / 2 + 1, columns + 1]
    power = waves[:, :-1].abs().square()
    heard = torch.from_numpy(mel_bands(bands)) @ power
    values = heard.clamp(min=1e-10).log10()
    values = (values.clamp(min=float(values.max()) - 4 * DEPTH) + 4) / 4
    return LogMel(values.numpy(), count // HOP)


@cache
def mel_bands(bands: int) -> NDArray[np.float32]:
    """float32 [bands, 201]: how much each frequency of a window counts in each band.

    Triangles between equal steps of Slaney's mel scale (straight up to 1 kHz, logarithmic above) from 0 to
    8 kHz, each of the same area.
    """
    steps = np.linspace(0.0, _to_mel(RATE / 2), bands + 2)
    edges = np.array([_to_hertz(step) for step in steps])
    frequencies = np.linspace(0.0, RATE / 2, WINDOW // 2 + 1)
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    found: NDArray[np.float32] = np.maximum(0.0, np.minimum(rising, falling)) * area[:, None]
    return found.astype(np.float32)


_LINEAR = 200.0 / 3
"""Hertz of a mel below 1 kHz, which is mel 15."""
_LOG_STEP = np.log(6.4) / 27


def _to_mel(hertz: float) -> float:
    return hertz / _LINEAR if hertz < 1000 else 15 + float(np.log(hertz / 1000) / _LOG_STEP)


def _to_hertz(mel: float) -> float:
    return mel * _LINEAR if mel < 15 else float(1000 * np.exp(_LOG_STEP * (mel - 15)))
