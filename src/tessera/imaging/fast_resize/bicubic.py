"""Pillow's bicubic weights: 22-bit fixed-point numbers, and the whole-number rule that they stand for.

Pillow weighs the neighbours of every output with these and rounds to uint8 after each of its two passes. The
same sums in float32 are off by a provable bound, the `doubt`; `Axis.weigh` is for those that the bound leaves
undecided.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.imaging.fast_resize.memo import remembered

Pixels = npt.NDArray[np.uint8]
Sums = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]

FRACTION_BITS = 22  # of Pillow's weights
AXES_BYTES = 32 * 2**20  # tables that are remembered
# Adding a half and the doubt to a sum rounds twice more, each time by 2^-17 at most.
ROUNDINGS = 2.0**-15


@dataclass(frozen=True)
class Axis:
    """How one side of a picture is resampled."""

    starts: Whole
    """[outputs] the first input of every output."""
    weights: Whole
    """[outputs, taps] fixed-point weights, zero past the last input."""
    shares: Sums
    """[outputs, taps] the weights as parts of one; float32 holds them exactly."""
    limit: int
    """Number of inputs."""
    doubt: float
    """How far a float32 sum may lie from the true one in grey levels, in any order of its additions."""

    def inputs(self, outputs: Whole) -> Whole:
        """[n, taps] inputs of these outputs; those past the end have weight zero and stay on the last one."""
        taps = np.arange(self.weights.shape[1])
        inputs: Whole = np.minimum(self.starts[outputs][:, None] + taps, self.limit - 1)
        return inputs

    def span(self, low: int, high: int) -> tuple[int, int]:
        """[first, last) inputs of the outputs [low, high)."""
        return int(self.starts[low]), min(int(self.starts[high - 1]) + self.weights.shape[1], self.limit)

    def weigh(self, outputs: Whole, pixels: Pixels) -> Whole:
        """Pillow's whole-number rule for these outputs: [n] and their inputs' pixels [n, taps] to [n]."""
        totals = (pixels * self.weights[outputs]).sum(axis=1) + (1 << (FRACTION_BITS - 1))
        levels: Whole = np.clip(totals >> FRACTION_BITS, 0, 255)
        return levels


@remembered(AXES_BYTES, lambda axis: axis.starts.nbytes + axis.weights.nbytes + axis.shares.nbytes)
def make_axis(inputs: int, outputs: int) -> Axis:
    """The resampling of a side of `inputs` pixels to `outputs`."""
    starts, weights = _fixed_point_weights(inputs, outputs)
    # Any order of float32 additions is off by at most (terms + 1) half-units in the last place of the sum of
    # magnitudes; one more term for safety.
    heaviest = 255 * float(np.abs(weights).sum(axis=1).max()) / 2**FRACTION_BITS
    doubt = (weights.shape[1] + 2) * heaviest * 2.0**-24 + ROUNDINGS
    return Axis(starts, weights, (weights / 2**FRACTION_BITS).astype(np.float32), inputs, doubt)


def spans(total: int, length: int) -> Iterator[tuple[int, int]]:
    """[low, high) pieces of at most `length`."""
    for low in range(0, total, length):
        yield low, min(low + length, total)


def _fixed_point_weights(inputs: int, outputs: int) -> tuple[Whole, Whole]:
    """First input [outputs] and weights [outputs, taps] of a filter that widens when the side shrinks."""
    scale = inputs / outputs
    stretch = max(scale, 1.0)
    support = 2.0 * stretch
    taps = np.arange(math.ceil(support) * 2 + 1)
    centres = (np.arange(outputs) + 0.5) * scale
    starts = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    ends = np.minimum((centres + support + 0.5).astype(np.int64), inputs)
    weights = _keys_kernel((taps + starts[:, None] - centres[:, None] + 0.5) * (1.0 / stretch))
    weights[taps >= (ends - starts)[:, None]] = 0.0
    totals = np.zeros(outputs)
    for tap in taps:  # one after the other: a pairwise sum would round differently
        totals += weights[:, tap]
    fixed = weights / totals[:, None] * 2**FRACTION_BITS
    return starts, (fixed + np.where(fixed < 0, -0.5, 0.5)).astype(np.int64)


def _keys_kernel(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic convolution kernel with a = -1/2."""
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
