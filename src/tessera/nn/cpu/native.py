"""The kernels of our own, as functions of tensors: `kernels/rows.c` multiplies few rows.

By hand, because PyTorch 2.13 reads bfloat16 weights for one row at half of the memory's speed, int8 ones at a
third and has nothing for ours in 4 bits (benchmarks/results). They go when its own do.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Literal

import torch

from tessera.nn.cpu.building import NoLibrary, load

Kind = Literal["bfloat16", "int8", "int4"]
KINDS: tuple[Kind, ...] = ("bfloat16", "int8", "int4")
STEP = 64
"""Rows of weights are multiples of it, and four-bit ones share a scale that far."""


def multiply(
    kind: Kind,
    x: torch.Tensor,
    weight: torch.Tensor,
    scale: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    levels: torch.Tensor | None = None,
) -> torch.Tensor:
    """bfloat16 x [R, in] by a weight to bfloat16 [R, out], summed in float32; a row's result is its own.

    All are contiguous, all but quantised weights bfloat16. bfloat16: weight [out, in]. int8: int8 [out, in]
    with scale [out]. int4: uint8 [out, in / 2], the first weight of a pair in the high bits, each the number
    of one of the 16 `levels`, with scale [out, in / STEP]. bias [out]. Raises NoLibrary.
    """
    rows, inner = x.shape
    x = x.contiguous()
    out = x.new_empty(rows, len(weight))
    threads = torch.get_num_threads()
    given = (weight, scale, levels, bias, x, out)
    failed = library().tessera_rows(
        KINDS.index(kind), *map(_address, given), rows, len(weight), inner, threads
    )
    if failed:
        raise MemoryError(f"{rows} rows of {inner} numbers")
    return out


@cache
def library() -> ctypes.CDLL:
    """The compiled kernels, checked against PyTorch in this process. Raises NoLibrary."""
    loaded = load()
    pointers, sizes = [ctypes.c_void_p] * 6, [ctypes.c_long] * 3
    loaded.tessera_rows.argtypes = [ctypes.c_int, *pointers, *sizes, ctypes.c_int]
    return loaded


def _address(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


@cache
def why_not() -> str:
    """Empty, or why the kernels can't be used."""
    try:
        library()
        wrong = [kind for kind in KINDS if not _agrees(kind)]
    except NoLibrary as error:
        return str(error)
    return f"{', '.join(wrong)}: they differ from PyTorch's products" if wrong else ""


def _agrees(kind: Kind) -> bool:
    """Five rows of drawn numbers against the product in float64."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 3 * STEP, generator=generator).bfloat16()
    given = drawn(kind, 11, 3 * STEP, generator)
    got, wanted = multiply(kind, x, **given).double(), x.double() @ dense(kind, **given).T
    return bool((got - wanted).norm() <= 4e-3 * wanted.norm())


def drawn(kind: Kind, outs: int, inner: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Any weight of a kind, as `multiply` takes it: to check and to measure with."""
    if kind == "bfloat16":
        return {"weight": torch.randn(outs, inner, generator=generator).bfloat16()}
    scale = torch.rand(outs, inner // STEP if kind == "int4" else 1, generator=generator).bfloat16() + 0.5
    whole = torch.randint(-127, 128, (outs, inner), dtype=torch.int8, generator=generator)
    if kind == "int8":
        return {"weight": whole, "scale": scale.flatten()}
    levels = torch.randn(16, generator=generator).bfloat16()
    return {"weight": whole[:, : inner // 2].view(torch.uint8).contiguous(), "scale": scale, "levels": levels}


def dense(
    kind: Kind,
    weight: torch.Tensor,
    scale: torch.Tensor | None = None,
    levels: torch.Tensor | None = None,
) -> torch.Tensor:
    """The weight float64 [out, in] that `multiply` computes with."""
    if kind == "int4" and levels is not None:
        weight = levels.double()[torch.stack((weight >> 4, weight & 15), -1).flatten(1).long()]
    by = torch.ones(1, 1) if scale is None else scale.view(len(weight), -1)
    return weight.double() * by.double().repeat_interleave(weight.shape[1] // by.shape[1], 1)
