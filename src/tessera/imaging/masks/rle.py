"""Masks in COCO's run-length code: runs down the columns, nothing first, as a list or packed into text.

Source: the format of COCO's annotations (`cocodataset/cocoapi`, common/maskApi.c): from the fourth on a run
is told as the difference to the run two before it, in groups of five bits with a sixth for "more follow".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.runtime.shown import shown

MOST_PIXELS = 2**28
"""Largest mask that is made of a code, which takes few bytes however large it says it is."""


def encode_mask(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Mask bool [H, W] as `{"size": [H, W], "counts": text}`."""
    flat = np.asarray(mask, dtype=np.bool_).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=False)) if len(flat) else np.array([], dtype=np.int64)
    counts = np.diff(np.concatenate(([0], edges, [len(flat)])))
    return {"size": [int(side) for side in mask.shape], "counts": pack_counts(counts.tolist())}


def decode_mask(code: object) -> npt.NDArray[np.bool_]:
    """A code as mask bool [H, W]. ValueError saying what is wrong with it."""
    size, counts = _read(code)
    height, width = size
    if sum(counts) != height * width:
        raise ValueError(
            f"counts add up to {sum(counts)}, but size is {height} x {width}; correct one of them"
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((height, width), order="F")


def pack_counts(counts: Sequence[int]) -> str:
    """Lengths of runs as text."""
    written = []
    for number, count in enumerate(counts):
        value = count - counts[number - 2] if number > 2 else count
        while True:
            group, value = value & 31, value >> 5
            more = value != (-1 if group & 16 else 0)
            written.append(chr(group + 32 * more + 48))
            if not more:
                break
    return "".join(written)


def unpack_counts(text: str) -> list[int]:
    """Text as lengths of runs. ValueError for characters that are none of the code, and for negative runs."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64:
            raise ValueError(f"counts: {shown(character)} is no character of the code; write it anew")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        value -= (1 << shift) if group & 16 else 0
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift or any(count < 0 for count in counts):
        raise ValueError(f"counts: {shown(text)} is cut off or damaged; write it anew")
    return counts


def _read(code: object) -> tuple[tuple[int, int], list[int]]:
    """Height, width and runs of a code."""
    if not isinstance(code, Mapping) or not {"size", "counts"} <= code.keys():
        raise ValueError(f"{shown(code)} is no run-length code; give size and counts")
    size, counts = code["size"], code["counts"]
    if not (
        isinstance(size, list | tuple) and len(size) == 2 and all(type(s) is int and s > 0 for s in size)
    ):
        raise ValueError(f"size = {shown(size)}: give [height, width] in pixels")
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"size = {shown(size)}: at most {MOST_PIXELS:,} pixels are read")
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", errors="replace")
    if isinstance(counts, str):
        return (size[0], size[1]), unpack_counts(counts)
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError(f"counts = {shown(counts)}: give the packed text, or a list of runs")
    return (size[0], size[1]), counts
