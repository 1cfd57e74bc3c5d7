"""The kernels of our own, as functions of tensors.

`kernels/rows.c` multiplies few rows, because PyTorch 2.13 reads bfloat16 weights for one row at half of the
memory's speed, int8 ones at a third and has nothing for ours in 4 bits. `kernels/attention.c` reads a cache
where it lies, and `kernels/pieces.c` does what stands between the products: a step of a decoder is a thousand
calls of PyTorch otherwise, which take longer than reading weights of 4 bits. All go when its own are as fast.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch.nn import functional as F

from tessera.nn.cpu.building import NoLibrary, load

Kind = Literal["bfloat16", "int8", "int4"]
KINDS: tuple[Kind, ...] = ("bfloat16", "int8", "int4")
Pointer, Size = ctypes.c_void_p, ctypes.c_int64
STEP = 64
"""Four-bit weights share a scale that far."""
MULTIPLES = {"bfloat16": 32, "int8": 32, "int4": 2 * STEP}
"""What a row's length must be a multiple of."""


class Streamed(NamedTuple):
    """A weight as `multiply` takes it."""

    kind: Kind
    weight: torch.Tensor
    scale: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    levels: torch.Tensor | None = None


class LinearWeight(ctypes.Structure):
    """`struct linear` of kernels/library.h."""

    _fields_ = (
        *(("kind", Size), ("weight", Pointer), ("scale", Pointer), ("levels", Pointer), ("bias", Pointer)),
        *(("outs", Size), ("inner", Size)),
    )


class BlockWeights(ctypes.Structure):
    """`struct block`."""

    _fields_ = (
        ("linears", LinearWeight * 7),
        *(("first_norm", Pointer), ("second_norm", Pointer), ("query_norm", Pointer), ("key_norm", Pointer)),
    )


class NewestTokens(ctypes.Structure):
    """`struct step`."""

    _fields_ = (
        *(("cosine", Pointer), ("sine", Pointer), ("table", Pointer), ("lengths", Pointer)),
        *(("rows", Size), ("most", Size), ("page_size", Size), ("width", Size)),
    )


def linear_weight(given: Streamed) -> LinearWeight:
    """It in C's form; the tensors must outlive it."""
    kind, weight, scale, bias, levels = given
    inner = weight.shape[1] * (2 if kind == "int4" else 1)
    return LinearWeight(KINDS.index(kind), *map(_address, (weight, scale, levels, bias)), len(weight), inner)


def multiply(x: torch.Tensor, given: Streamed) -> torch.Tensor:
    """bfloat16 x [R, in] by a weight to bfloat16 [R, out], summed in float32; a row's result is its own.

    All are contiguous, all but quantised weights bfloat16. bfloat16: weight [out, in]. int8: int8 [out, in]
    with scale [out]. int4: uint8 [out, in / 2], the first weight of a pair in the high bits, each the number
    of one of the 16 `levels`, with scale [out, in / STEP]. bias [out]. Raises NoLibrary.
    """
    kind, weight, scale, bias, levels = given
    rows, inner = x.shape
    x = x.contiguous()
    out = x.new_empty(rows, len(weight))
    places = map(_address, (weight, scale, levels, bias, x, out))
    sizes = (rows, len(weight), inner, torch.get_num_threads())
    if library().tessera_rows(KINDS.index(kind), *places, *sizes):
        raise MemoryError(f"{rows} rows of {inner} numbers")
    return out


VECTOR = 16
"""Numbers that the functions below take at a time; what they are given has a multiple of it in each row."""
FEW = 2**18
"""Numbers up to which a call costs more than what it does."""


def takes_pieces(x: torch.Tensor) -> bool:
    """Whether x is few rows of bfloat16 in inference, for the functions below, and they are there."""
    return (
        type(x) is torch.Tensor
        and x.dtype == torch.bfloat16
        and torch.is_inference_mode_enabled()
        and x.is_cpu
        and 0 < x.numel() <= FEW
        and x.shape[-1] % 32 == 0
        and not why_not()
    )


def norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x [..., D] over its root mean square, times weight [D]; rounded before and after the weight."""
    x, width = x.contiguous(), x.shape[-1]
    out = torch.empty_like(x)
    library().tessera_norm(*map(_address, (x, weight, out)), x.numel() // width, width, eps)
    return out


def rotate(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """x [T, H, C] turned by tables bfloat16 [T, 1, C], whose sine has its sign (`rope.rotate`)."""
    x = x.contiguous()
    out = torch.empty_like(x)
    given = (x, cosine.contiguous(), sine.contiguous(), out)
    library().tessera_rotate(*map(_address, given), *x.shape)
    return out


def gate(x: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """silu(x) * up, of equal shapes; rounded in between. ValueError for rows of another length."""
    if x.shape[-1] % VECTOR:
        raise ValueError(f"x has rows of {x.shape[-1]}: this kernel takes multiples of {VECTOR}")
    x, up = x.contiguous(), up.contiguous()
    out = torch.empty_like(x)
    library().tessera_gate(*map(_address, (x, up, out)), x.numel())
    return out


def attend_newest(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, table: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """One query of each sequence, [B, H, C], to [B, H, C]; pools [pages, page_size, K, C] with H % K == 0.

    table int32 [B, most pages], lengths int32 [B]: the keys that each sees. All bfloat16, C at most 256.
    """
    query = query.contiguous()
    out = torch.empty_like(query)
    sizes = (len(query), table.shape[1], keys.shape[1], query.shape[1], *keys.shape[2:])
    given = map(_address, (query, keys, values, table, lengths, out))
    if library().tessera_attend(*given, *sizes, torch.get_num_threads()):
        raise MemoryError(f"scores of {len(query)} sequences")
    return out


@cache
def library() -> ctypes.CDLL:
    """The compiled kernels, checked against PyTorch in this process. Raises NoLibrary."""
    loaded = load()
    pointer, size, whole = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
    loaded.tessera_rows.argtypes = [whole, *[pointer] * 6, *[size] * 3, whole]
    loaded.tessera_attend.argtypes = [*[pointer] * 6, *[size] * 6, whole]
    loaded.tessera_norm.argtypes = [*[pointer] * 3, *[size] * 2, ctypes.c_float]
    loaded.tessera_rotate.argtypes = [*[pointer] * 4, *[size] * 3]
    loaded.tessera_gate.argtypes = [*[pointer] * 3, size]
    loaded.tessera_block.argtypes = [*[pointer] * 5, ctypes.c_double, whole]
    for name in ("norm", "rotate", "gate"):
        getattr(loaded, f"tessera_{name}").restype = None
    return loaded


def _address(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


@cache
def why_not() -> str:
    """Empty, or why the kernels can't be used."""
    try:
        library()
        wrong = [*(kind for kind in KINDS if not _agrees(kind)), *_wrong_pieces()]
    except NoLibrary as error:
        return str(error)
    return f"{', '.join(wrong)}: not PyTorch's results" if wrong else ""


def _agrees(kind: Kind) -> bool:
    """Five rows of drawn numbers against the product in float64."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 4 * STEP, generator=generator).bfloat16()
    given = drawn(kind, 11, 4 * STEP, generator)
    got, wanted = multiply(x, given).double(), x.double() @ dense(given).T
    return bool((got - wanted).norm() <= 4e-3 * wanted.norm())


def _wrong_pieces() -> list[str]:
    """The functions whose results on drawn numbers are not those of PyTorch in float32."""
    generator = torch.Generator().manual_seed(0)
    x, up, turn = (torch.randn(4, 2, 32, generator=generator).bfloat16() for _ in range(3))
    table = torch.tensor([[1, 0]] * 4, dtype=torch.int32)
    lengths = torch.tensor([1, 2, 3, 4], dtype=torch.int32)
    pool = torch.randn(2, 2, 1, 32, generator=generator).bfloat16()
    keys = pool.flip(0).float().view(4, 32)
    hidden = torch.arange(4) >= lengths[:, None, None]
    scores = (x.float() @ keys.T * 32**-0.5).masked_fill(hidden, float("-inf"))
    swapped, cosine = x.float().roll(16, -1), turn[:, :1]
    pairs = {
        "norm": (norm(x, up[0, 0], 1e-6), F.rms_norm(x.float(), (32,), eps=1e-6) * up[0, 0]),
        "rotate": (rotate(x, cosine, up[:, :1]), x.float() * cosine + swapped * up[:, :1]),
        "gate": (gate(x, up), F.silu(x.float()) * up),
        "attention": (attend_newest(x, pool, pool, table, lengths), scores.softmax(-1) @ keys),
    }
    off = {name: (got - wanted).norm() / wanted.norm() for name, (got, wanted) in pairs.items()}
    return [name for name, share in off.items() if not share < 1e-2]


def drawn(kind: Kind, outs: int, inner: int, generator: torch.Generator) -> Streamed:
    """Any weight of a kind: to check and to measure with."""
    if kind == "bfloat16":
        return Streamed(kind, torch.randn(outs, inner, generator=generator).bfloat16())
    scale = torch.rand(outs, inner // STEP if kind == "int4" else 1, generator=generator).bfloat16() + 0.5
    whole = torch.randint(-127, 128, (outs, inner), dtype=torch.int8, generator=generator)
    if kind == "int8":
        return Streamed(kind, whole, scale.flatten())
    levels = torch.randn(16, generator=generator).bfloat16()
    return Streamed(kind, whole[:, : inner // 2].view(torch.uint8).contiguous(), scale, levels=levels)


def dense(given: Streamed) -> torch.Tensor:
    """The weight float64 [out, in] that `multiply` computes with."""
    weight, scale, levels = given.weight, given.scale, given.levels
    if levels is not None:
        weight = levels.double()[torch.stack((weight >> 4, weight & 15), -1).flatten(1).long()]
    by = torch.ones(1, 1) if scale is None else scale.view(len(weight), -1)
    return weight.double() * by.double().repeat_interleave(weight.shape[1] // by.shape[1], 1)
