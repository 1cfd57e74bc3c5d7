"""Which way few rows take through a weight: PyTorch's or the kernels of our own, by a short measurement.

Never by the processor's name, which says little about what a virtual machine reads in a second. Measured once
for a kind of weight and a number of rows, on weights that are not in the cache, and kept on the disk beside
the library; another processor, PyTorch, compiler or number of threads is measured anew. Only inference takes
these routes (it runs in PyTorch's inference mode), so that training is not another one after another start.
What was taken is logged at INFO by the logger "tessera".
"""

from __future__ import annotations

import json
import logging
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import torch

from tessera.nn.cpu.building import build, own_folder
from tessera.nn.cpu.native import MULTIPLES, Kind, Streamed, drawn, multiply, why_not
from tessera.runtime.atomic import atomic_write

logger = logging.getLogger("tessera")

ROWS = (1, 4, 16, 32, 64)
"""Numbers of rows that are measured; others go by the next larger one, and more by PyTorch."""
FOR_ALL = (1, 4, 16, 64)
"""Those that decide together about a weight that is kept for one way alone."""
LEAST = 2**14
"""Weights in a matrix below which it does not matter."""
OUTS, INNER, COPIES = 2048, 1024, 12
"""What is measured: this many matrices of two million weights, each read once."""
GAIN = 0.95
"""Share of PyTorch's time below which a kernel of ours is taken."""

Product = Callable[[torch.Tensor], torch.Tensor]
MakeProduct = Callable[[Streamed], Product]
"""PyTorch's way with a weight."""


def takes_native(kind: Kind, x: torch.Tensor, outs: int, other: MakeProduct) -> bool:
    """Whether rows x [R, in] go through our kernels for this kind of weight; `other` makes PyTorch's way."""
    if x.dtype != torch.bfloat16 or x.device.type != "cpu" or not torch.is_inference_mode_enabled():
        return False
    rows, inner = x.shape
    return streams(kind, rows, inner, outs, other)


def streams(kind: Kind, rows: int, inner: int, outs: int, other: MakeProduct) -> bool:
    """The same for so many rows of bfloat16 in inference."""
    if not 0 < rows <= ROWS[-1] or inner * outs < LEAST or inner % MULTIPLES[kind]:
        return False
    return _is_faster(kind, measured_rows(rows), torch.get_num_threads(), other)


def measured_rows(rows: int) -> int:
    """The number of rows by which so many go; 0 for more than are measured."""
    return next((most for most in ROWS if rows <= most), 0)


@cache
def _is_faster(kind: Kind, rows: int, threads: int, other: MakeProduct) -> bool:
    if reason := why_not():
        logger.info("%s weights, few rows: PyTorch (%s)", kind, reason)
        return False
    file = own_folder() / f"{build().stem}.{threads}.json"
    known = _read(file)
    # PyTorch wants a bfloat16 weight in another order, and only one is kept: one choice for all rows.
    names = {f"{kind} {count}": count for count in (FOR_ALL if kind == "bfloat16" else (rows,))}
    if missing := names.keys() - known.keys():
        known |= {name: measure(kind, names[name], other) for name in missing}
        with suppress(OSError), atomic_write(file) as stream:
            stream.write(json.dumps(known, indent=1).encode())
    share = statistics.geometric_mean(known[name] for name in names)
    taken, counts = "own kernels" if share < GAIN else "PyTorch", ", ".join(map(str, names.values()))
    logger.info("%s weights, %s rows: %s (ours in %.2f of its time)", kind, counts, taken, share)
    return share < GAIN


def measure(kind: Kind, rows: int, other: MakeProduct) -> float:
    """Our time as a share of PyTorch's; the two take turns, so that a busy machine slows both."""
    generator = torch.Generator().manual_seed(0)
    first = drawn(kind, OUTS, INNER, generator)
    x = torch.randn(rows, INNER, generator=generator).bfloat16()
    ways: list[tuple[Product, Product]] = []
    for _ in range(COPIES):
        mine, their = (first._replace(weight=first.weight.clone()) for _ in range(2))
        ways.append((partial(multiply, given=mine), other(their)))
    for way in ways[0]:
        way(x)
    seconds = [[_seconds(way, x) for way in pair] for pair in ways]
    return statistics.median(mine / their for mine, their in seconds)


def _seconds(way: Product, x: torch.Tensor) -> float:
    start = time.perf_counter()
    way(x)
    return time.perf_counter() - start


def _read(file: Path) -> dict[str, float]:
    """What was measured before; nothing where the file is not there or not ours."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: share for name, share in found.items() if isinstance(share, float)}
