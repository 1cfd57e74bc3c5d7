"""A decoder's block for the newest token of every sequence, in one call of our own kernels.

By hand, because the thousand calls of PyTorch that a step takes otherwise need longer than the weights of a
small model in 4 bits. It computes what the modules compute one by one through the same kernels, to the bit,
and goes with them (`cpu/native.py`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Layout, Paged
from tessera.nn.cpu.native import (
    BlockWeights,
    NewestTokens,
    Streamed,
    library,
    linear_weight,
    takes_pieces,
)
from tessera.nn.cpu.routes import measured_rows
from tessera.nn.linear import addresses, streamed
from tessera.nn.norm import RMSNorm

Tables = tuple[torch.Tensor, torch.Tensor]
WIDEST_HEAD = 256


@dataclass(frozen=True)
class BlockParts:
    """What a block is made of: q, k, v, o, gate, up, down; its two norms and, in Qwen3, those of heads."""

    linears: Sequence[nn.Module]
    norms: tuple[RMSNorm, RMSNorm]
    head_norms: tuple[RMSNorm, RMSNorm] | None


@dataclass(frozen=True)
class _Weights:
    """A block's weights in C's form, which Python takes a quarter of a small model's step to make.

    Good for the same `key`: numbers of rows that take one route, threads, and places of all tensors.
    """

    key: tuple[object, ...]
    block: BlockWeights
    kept: Sequence[Streamed]


@dataclass(frozen=True)
class _Step:
    """The newest tokens in C's form, and the tensors that it points into."""

    tokens: NewestTokens
    kept: tuple[torch.Tensor, ...]


def newest_tokens(
    parts: BlockParts, x: torch.Tensor, tables: Tables, layout: Layout, cache: KVCache | None, layer: int
) -> torch.Tensor | None:
    """States [T, D] behind a block; None where this way is not there: for others than few new tokens, one of
    each cached sequence, in bfloat16 and inference, or for weights that were not found to stream faster.

    tables: cosine and sine [T, 1, C] of the dtype of x. The new keys and values of `layer` are cached.
    """
    if cache is None or not isinstance(layout, Paged) or not takes_pieces(x):
        return None
    keys, values = cache.keys[layer], cache.values[layer]
    width = keys.shape[-1]
    if len(x) != len(layout.lengths) or width % 32 or width > WIDEST_HEAD:
        return None
    if {each.dtype for each in (keys, *tables, parts.norms[0].weight)} != {x.dtype}:
        return None
    threads = torch.get_num_threads()
    weights = _weights(parts, len(x), threads, cache, layer)
    if weights is None:
        return None
    step = layout.kept("step", x.device, lambda: _step(tables, layout, cache, width))
    out = x.clone()
    places = (out.data_ptr(), keys.data_ptr(), values.data_ptr())
    eps = parts.norms[0].eps
    if library().tessera_block(ctypes.byref(weights.block), ctypes.byref(step.tokens), *places, eps, threads):
        raise MemoryError(f"states of {len(x)} tokens")
    return out


def _weights(parts: BlockParts, rows: int, threads: int, cache: KVCache, layer: int) -> _Weights | None:
    """Those that were made for an earlier step, if they are still good; None where they don't stream."""
    norms = [norm.weight.data_ptr() for norm in (*parts.norms, *(parts.head_norms or ()))]
    key = (measured_rows(rows), threads, *norms, *map(addresses, parts.linears))
    known = cache.beside.get(layer)
    if isinstance(known, _Weights) and known.key == key:
        return known
    given = [each for linear in parts.linears if (each := streamed(linear, rows)) is not None]
    if len(given) < len(parts.linears):
        return None
    made = _Weights(key, BlockWeights((*map(linear_weight, given),), *norms), given)
    cache.beside[layer] = made
    return made


def _step(tables: Tables, layout: Paged, cache: KVCache, width: int) -> _Step:
    cache.check_room(layout)
    table = layout.block_table(tables[0].device)
    seen = torch.tensor(layout.key_lengths, dtype=torch.int32)
    kept = (*(each.contiguous() for each in tables), table, seen)
    sizes = (len(seen), table.shape[1], cache.page_size, width)
    return _Step(NewestTokens(*(each.data_ptr() for each in kept), *sizes), kept)
