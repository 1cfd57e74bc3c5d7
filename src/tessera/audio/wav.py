"""Samples to a WAV file in memory, as the playground and people with arrays need it."""

import io
import wave

import numpy as np
from numpy.typing import NDArray

from tessera.audio.decode import RATE


def to_wav(samples: NDArray[np.floating], rate: int = RATE) -> bytes:
    """Mono samples float [S] in -1 to 1 as 16-bit WAV. ValueError for another shape."""
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"samples {samples.shape}: give one channel [S] of at least one sample")
    whole = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(whole.tobytes())
    return written.getvalue()
