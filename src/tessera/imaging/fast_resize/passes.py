"""The two passes of a resize on planar lines, uint8 [H, 3, W]: a row of red, one of green, one of blue.

In this order both passes read and write memory in a straight line. A pass takes its sums in float32, whose
error has a proven bound (`Axis.doubt`). It rounds them twice, once moved down by the bound and once up: where
both give one level, that is Pillow's. The others, about one in a thousand, are taken again in whole numbers,
so the result is Pillow's to the last bit on every machine. `exact=False` leaves those as they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from tessera.imaging.fast_resize.bicubic import Axis, Pixels, Sums, Whole, make_axis, spans
from tessera.imaging.fast_resize.memo import remembered

ROWS_TOGETHER = 192, 384  # fewest and most rows in one product: few calls, and still near the processor
ROWS_BLOCK = 16  # outputs of one product: a full vector; more would multiply more zero weights
LINES_BLOCK = 4  # lines of one product of the other pass; it is as long as they are, so few fill it
LINES_MADE = 64  # lines that the second pass rounds together
# OpenBLAS keeps a product of at most 2^18 multiplications on the calling thread: workers stay on their cores.
ONE_THREAD_PRODUCT = 2**18
MOST_UNDECIDED = 1 / 32  # share of the sums
WORD = 8  # bytes
BLOCKS_BYTES = 32 * 2**20  # tables of each pass that are remembered


@dataclass(frozen=True)
class Block:
    """Neighbouring outputs, and the run of inputs that they need."""

    inputs: slice
    outputs: slice
    weights: Sums
    """[inputs, outputs] for rows, [outputs, inputs] for columns"""


class _Rounding:
    """Sums of one pass to levels. Its buffers are kept: fresh memory would cost more than the arithmetic."""

    def __init__(self, axis: Axis, result: Pixels, largest: int, exact: bool) -> None:
        self._doubt = axis.doubt if exact else 0.0
        self._levels = result.reshape(-1)
        self._upper = np.empty(largest, np.uint8)
        self._differ = np.zeros(-(-largest // WORD) * WORD, np.bool_)
        self._left = MOST_UNDECIDED * result.size
        self._undecided = [np.empty(0, np.int64)]

    @property
    def hopeless(self) -> bool:
        """So many sums stay undecided that Pillow's loop is faster (two-level stripes halved, say)."""
        return self._left < 0

    @property
    def undecided(self) -> Whole:
        """Flat places in the result of all sums that lie too near to a rounding boundary."""
        return np.concatenate(self._undecided)

    def round(self, sums: Sums, offset: int) -> None:
        """Contiguous sums, used up, to the levels of the result from flat place `offset` on."""
        sums = sums.reshape(-1)
        levels = self._levels[offset : offset + sums.size]
        np.add(sums, np.float32(0.5 - self._doubt), out=sums)
        torch.nn.functional.hardtanh_(torch.from_numpy(sums), 0.0, 255.5)  # half the time of numpy's clip
        np.copyto(levels, sums, casting="unsafe")  # drops the fraction
        if self._doubt:
            upper = self._upper[: sums.size]
            np.add(sums, np.float32(2 * self._doubt), out=sums)
            np.copyto(upper, sums, casting="unsafe")
            np.not_equal(upper, levels, out=self._differ[: sums.size])
            places = self._places(sums.size)
            self._left -= len(places)
            self._undecided.append(places + offset)

    def _places(self, size: int) -> Whole:
        """Where the first `size` levels differ: nearly nowhere, so whole words are passed over."""
        words = np.flatnonzero(self._differ.view(np.uint64) != 0)
        near = (words[:, None] * WORD + np.arange(WORD)).reshape(-1)
        places: Whole = near[self._differ[near] & (near < size)]
        return places


class _RowsPass:
    """The pass over rows to one width, band by band of a buffer that several widths share."""

    def __init__(self, rows: Pixels, width: int, values: Sums, exact: bool) -> None:
        self._rows = rows
        self._axis = make_axis(rows.shape[1], width)
        self._sums = np.empty((len(values), width), np.float32)
        self._result = np.empty((len(rows), width), np.uint8)
        self._rounding = _Rounding(self._axis, self._result, self._sums.size, exact)
        self._products = [
            (values[:, block.inputs], block.weights, self._sums[:, block.outputs])
            for block in _row_blocks(rows.shape[1], width)[1]
        ]

    def take(self, top: int) -> None:
        """The rows from `top` on, which fill the buffer."""
        if not self._rounding.hopeless:
            for product in self._products:
                np.matmul(*product)
            self._rounding.round(self._sums, top * self._sums.shape[1])

    def result(self) -> Pixels | None:
        """uint8 [rows, width]; None when too many sums stay undecided."""
        if self._rounding.hopeless:
            return None
        row, column = np.divmod(self._rounding.undecided, self._sums.shape[1])
        inputs = (row * self._rows.shape[1])[:, None] + self._axis.inputs(column)
        self._result[row, column] = self._axis.weigh(column, self._rows.take(inputs))
        return self._result


def resample_rows(lines: Pixels, widths: Sequence[int], exact: bool) -> list[Pixels | None]:
    """uint8 [H, 3, W] to [H, 3, width] each; None where too many sums stay undecided."""
    if not widths:
        return []
    rows = lines.reshape(-1, lines.shape[2])  # a row has one colour
    most = min(len(rows), *(_row_blocks(lines.shape[2], width)[0] for width in widths))
    band = _even(len(rows), most)
    values = np.empty((band, lines.shape[2]), np.float32)
    passes = [_RowsPass(rows, width, values, exact) for width in widths]
    for top, bottom in spans(len(rows), band):
        first = bottom - band if top else top  # the last band is a full one too, and repeats some rows
        np.copyto(values, rows[first : first + band])
        for each in passes:
            each.take(first)
    results = [each.result() for each in passes]
    return [None if result is None else result.reshape(len(lines), 3, -1) for result in results]


def resample_columns(lines: Pixels, height: int, exact: bool) -> Pixels | None:
    """uint8 [H, 3, W] to [height, 3, W]; None when too many sums stay undecided."""
    axis = make_axis(len(lines), height)
    rows = lines.reshape(len(lines), -1)
    length = rows.shape[1]
    result = np.empty((height, length), np.uint8)
    together = [(low, high, *axis.span(low, high)) for low, high in spans(height, LINES_MADE)]
    values = np.empty((max(last - first for _, _, first, last in together), length), np.float32)
    sums = np.empty((LINES_MADE, length), np.float32)
    rounding = _Rounding(axis, result, sums.size, exact)
    blocks = _column_blocks(len(lines), height)
    for low, high, first, last in together:
        np.copyto(values[: last - first], rows[first:last])
        for block in blocks[low // LINES_BLOCK : math.ceil(high / LINES_BLOCK)]:
            _multiply_lines(block, values[block.inputs.start - first :], sums[block.outputs.start - low :])
        rounding.round(sums[: high - low], low * length)
        if rounding.hopeless:
            return None
    row, column = np.divmod(rounding.undecided, length)
    result[row, column] = axis.weigh(row, rows.take(axis.inputs(row) * length + column[:, None]))
    return result.reshape(height, *lines.shape[1:])


def _multiply_lines(block: Block, values: Sums, sums: Sums) -> None:
    """The block's sums from values that begin at its inputs, piece by piece of a line."""
    made, taken = block.weights.shape
    length = values.shape[1]
    for left, right in spans(length, _even(length, ONE_THREAD_PRODUCT // block.weights.size)):
        np.matmul(block.weights, values[:taken, left:right], out=sums[:made, left:right])


def _even(total: int, most: int) -> int:
    """How long the pieces are when as few as can be, of at most `most`, are about equally long."""
    return math.ceil(total / math.ceil(total / max(1, most)))


@remembered(BLOCKS_BYTES, lambda found: _size(found[1]))
def _row_blocks(inputs: int, outputs: int) -> tuple[int, tuple[Block, ...]]:
    """Rows of a band, and runs of outputs: long enough to fill a product, short enough to skip most zeros."""
    axis = make_axis(inputs, outputs)
    taps = axis.weights.shape[1]
    for length in (ROWS_BLOCK, ROWS_BLOCK // 2, ROWS_BLOCK // 4, 1):
        band = ONE_THREAD_PRODUCT // (length * (math.ceil(length * inputs / outputs) + taps))
        if band >= ROWS_TOGETHER[0]:
            break
    blocks = tuple(_block(axis, low, high) for low, high in spans(outputs, length))
    return max(1, min(band, ROWS_TOGETHER[1])), blocks


@remembered(BLOCKS_BYTES, lambda blocks: _size(blocks))
def _column_blocks(inputs: int, outputs: int) -> tuple[Block, ...]:
    """Runs of `LINES_BLOCK` outputs, their weights turned."""
    axis = make_axis(inputs, outputs)
    blocks = [_block(axis, low, high) for low, high in spans(outputs, LINES_BLOCK)]
    return tuple(replace(block, weights=np.ascontiguousarray(block.weights.T)) for block in blocks)


def _size(blocks: Sequence[Block]) -> int:
    """Bytes of their weights, and about as many as the values around them take."""
    return sum(block.weights.nbytes + 512 for block in blocks)


def _block(axis: Axis, low: int, high: int) -> Block:
    """The outputs [low, high), their weights spread over a common run of inputs."""
    first, last = axis.span(low, high)
    taps = axis.weights.shape[1]
    dense = np.zeros((last - first + taps, high - low), np.float32)
    for output in range(low, high):
        offset = int(axis.starts[output]) - first
        dense[offset : offset + taps, output - low] = axis.shares[output]
    return Block(slice(first, last), slice(low, high), dense[: last - first])
