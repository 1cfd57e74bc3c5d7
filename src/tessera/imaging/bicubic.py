"""Pillow's bicubic weights, and their products with rows and columns of pixels.

Pillow weighs each output's neighbours with 22-bit fixed-point numbers and rounds to uint8 after each of its
two passes. Here a pass is a row of small float32 matrix products, whose error has a proven bound. Where a sum
lies so near to a rounding boundary that the bound cannot tell the side, about one in a thousand, `exact=True`
takes it again in whole numbers: then the result is Pillow's to the last bit on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Sums = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]

FRACTION_BITS = 22  # of Pillow's weights
ROWS = 64  # of a picture that are weighed together: they stay near the processor
ROWS_BLOCK, COLUMNS_BLOCK = 32, 8  # outputs of one product: more fill it better, fewer skip more zero weights
MOST_UNDECIDED = 1 / 32  # share of the sums
# OpenBLAS keeps a product of at most 2^18 multiplications on the calling thread: workers stay on their cores.
ONE_THREAD_PRODUCT = 2**18


@dataclass(frozen=True)
class Block:
    """Neighbouring outputs, and the run of inputs that they need."""

    inputs: slice
    outputs: slice
    weights: Sums
    """[inputs, outputs]"""


@dataclass(frozen=True)
class Axis:
    """How one side of a picture is resampled."""

    starts: Whole
    """[outputs] the first input of every output."""
    weights: Whole
    """[outputs, taps] fixed-point weights, zero past the last input."""
    blocks: tuple[Block, ...]
    doubt: float
    """How far a float32 sum may lie from the true one, in grey levels."""

    def weigh(self, outputs: Whole, pixels: Pixels) -> Whole:
        """Pillow's whole-number rule for these outputs: [n] and their inputs' pixels [n, taps] to [n]."""
        totals = (pixels * self.weights[outputs]).sum(axis=1) + (1 << (FRACTION_BITS - 1))
        levels: Whole = np.clip(totals >> FRACTION_BITS, 0, 255)
        return levels

    def inputs(self, outputs: Whole, limit: int) -> Whole:
        """[n, taps] inputs of these outputs; those past the end have weight zero and stay on the last one."""
        taps = np.arange(self.weights.shape[1])
        inputs: Whole = np.minimum(self.starts[outputs][:, None] + taps, limit - 1)
        return inputs


@lru_cache(maxsize=256)
def make_axis(inputs: int, outputs: int, longest: int) -> Axis:
    """The resampling of a side of `inputs` pixels to `outputs`, in blocks of at most `longest` outputs."""
    starts, weights = _fixed_point_weights(inputs, outputs)
    # Any order of float32 additions is off by at most (terms + 1) half-units in the last place of the sum of
    # magnitudes; one more term for safety. The weights themselves fit float32 exactly.
    heaviest = 255 * float(np.abs(weights).sum(axis=1).max()) / 2**FRACTION_BITS
    doubt = (weights.shape[1] + 2) * heaviest * 2.0**-24
    return Axis(starts, weights, tuple(_blocks(starts, weights, inputs, longest)), doubt)


def resample_rows(picture: Pixels, width: int, exact: bool) -> Pixels | None:
    """uint8 [H, W, 3] to [H, width, 3].

    None when so many sums stay undecided that Pillow's own loop is faster (two-level stripes halved, say).
    """
    axis = make_axis(picture.shape[1], width, ROWS_BLOCK)
    result = np.empty((len(picture), width, 3), np.uint8)
    undecided: list[Whole] = []
    for top, bottom in _spans(len(picture), ROWS):
        lines = np.empty((bottom - top, 3, picture.shape[1]), np.float32)
        np.copyto(lines, picture[top:bottom].transpose(0, 2, 1))
        sums = np.empty((bottom - top, 3, width), np.float32)
        inputs, outputs = lines.reshape(-1, lines.shape[2]), sums.reshape(-1, width)
        for block in axis.blocks:
            np.matmul(inputs[:, block.inputs], block.weights, outputs[:, block.outputs])
        if exact:
            undecided.append(_undecided(sums, axis.doubt) + top * 3 * width)
        levels = _round(sums)
        for colour in range(3):  # three strided copies are faster than one transposed
            result[top:bottom, :, colour] = levels[:, colour]
    if exact:
        row, colours, column = _places(undecided, (len(picture), 3, width))
        if row.size > MOST_UNDECIDED * result.size:
            return None
        pixels = picture[row[:, None], axis.inputs(column, picture.shape[1]), colours[:, None]]
        result[row, column, colours] = axis.weigh(column, pixels)
    return result


def resample_columns(picture: Pixels, height: int, exact: bool) -> Pixels | None:
    """uint8 [H, W, 3] to [height, W, 3]; None when too many sums stay undecided, as in `resample_rows`."""
    axis = make_axis(len(picture), height, COLUMNS_BLOCK)
    lines = picture.reshape(len(picture), -1)
    result = np.empty((height, lines.shape[1]), np.uint8)
    undecided: list[Whole] = []
    for block in axis.blocks:
        values = lines[block.inputs].astype(np.float32)
        sums = np.empty((block.weights.shape[1], lines.shape[1]), np.float32)
        for left, right in _spans(lines.shape[1], ONE_THREAD_PRODUCT // block.weights.size):
            np.matmul(block.weights.T, values[:, left:right], sums[:, left:right])
        if exact:
            undecided.append(_undecided(sums, axis.doubt) + block.outputs.start * lines.shape[1])
        result[block.outputs] = _round(sums)
    if exact:
        row, column = _places(undecided, result.shape)
        if row.size > MOST_UNDECIDED * result.size:
            return None
        pixels = lines[axis.inputs(row, len(lines)), column[:, None]]
        result[row, column] = axis.weigh(row, pixels)
    return result.reshape(height, -1, 3)


def _places(flat: list[Whole], shape: tuple[int, ...]) -> tuple[Whole, ...]:
    """Flat places as one index a dimension."""
    return np.unravel_index(np.concatenate(flat), shape)


def _undecided(sums: Sums, doubt: float) -> Whole:
    """Flat places of the sums that `doubt` could carry over a rounding boundary."""
    distance = np.rint(sums)
    np.subtract(sums, distance, out=distance)
    np.abs(distance, out=distance)
    return np.flatnonzero(distance > 0.5 - doubt)


def _round(sums: Sums) -> Pixels:
    """The sums as grey levels: to the nearest, halves up, cut at 0 and 255; the sums are used up."""
    np.add(sums, 0.5, out=sums)
    np.clip(sums, 0.0, 255.0, out=sums)
    return sums.astype(np.uint8)  # drops the fraction


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


def _blocks(starts: Whole, weights: Whole, inputs: int, longest: int) -> Iterator[Block]:
    """Runs of outputs, long enough to fill a matrix product, short enough to skip most zero weights."""
    outputs, taps = weights.shape
    length = longest
    while length > 1 and 3 * ROWS * length * (length * inputs / outputs + taps) > ONE_THREAD_PRODUCT:
        length //= 2
    for low, high in _spans(outputs, length):
        first = int(starts[low])
        last = min(int(starts[high - 1]) + taps, inputs)
        dense = np.zeros((last - first + taps, high - low), np.float32)
        for output in range(low, high):
            offset = int(starts[output]) - first
            dense[offset : offset + taps, output - low] = weights[output] / 2**FRACTION_BITS
        yield Block(slice(first, last), slice(low, high), dense[: last - first])


def _spans(total: int, length: int) -> Iterator[tuple[int, int]]:
    """[low, high) pieces of at most `length`."""
    for low in range(0, total, length):
        yield low, min(low + length, total)
