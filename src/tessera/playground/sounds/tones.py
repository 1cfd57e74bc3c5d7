"""Beeps with silence around them, in some noise: a WAV file of 16 kHz, the same for equal draws."""

from collections.abc import Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray

from tessera.audio.decode import RATE
from tessera.audio.wav import to_wav

PITCHES = {"low": (200, 400), "middle": (700, 1100), "high": (2000, 3200)}
"""Name of a pitch -> between how many hertz it lies."""
NOISE = {1: 0.001, 2: 0.01, 3: 0.05}
"""Spread of the noise, by level; a beep reaches 0.2 to 0.5."""
EDGE = RATE // 100
"""Samples in which a beep comes and goes, so that it does not click."""


def beeps(rng: Random, pitches: Sequence[str], level: int) -> bytes:
    """A beep for each name of a pitch, 0.12 to 0.25 s long, with gaps of 0.12 to 0.3 s."""
    pieces = [_silence(rng)]
    for pitch in pitches:
        pieces += [_beep(rng, pitch), _silence(rng)]
    sound = np.concatenate(pieces)
    noise = np.random.default_rng(rng.getrandbits(62)).standard_normal(len(sound))
    return to_wav(sound + NOISE[level] * noise)


def _silence(rng: Random) -> NDArray[np.float64]:
    return np.zeros(int(RATE * rng.uniform(0.12, 0.3)))


def _beep(rng: Random, pitch: str) -> NDArray[np.float64]:
    count = int(RATE * rng.uniform(0.12, 0.25))
    hertz, loud, phase = rng.uniform(*PITCHES[pitch]), rng.uniform(0.2, 0.5), rng.uniform(0, 2 * np.pi)
    place = np.arange(count)
    edges = np.minimum(1.0, np.minimum(place, count - 1 - place) / EDGE)
    found: NDArray[np.float64] = loud * edges * np.sin(phase + 2 * np.pi * hertz / RATE * place)
    return found
