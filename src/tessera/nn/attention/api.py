"""The door to attention, for training packs, tiles, prefill and decoding alike, and who answers behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import nn

from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.cpu.kernel import cached_cpu_attention, cpu_attention
from tessera.nn.attention.layout import Branched, Layout, Packed, Paged, Rows
from tessera.nn.attention.limited import UNRESTRICTED, Restriction, limited_attention
from tessera.nn.attention.pieces import Pieces, attend_pieces
from tessera.nn.attention.reference import reference_attention
from tessera.nn.attention.sdpa import sdpa, sdpa_attention
from tessera.nn.attention.varlen import runs_varlen, varlen_attention

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Kernel:
    """A way to compute attention on streams, shaped as for `sdpa_attention`."""

    name: str
    attention: Callable[..., torch.Tensor]
    cached: Callable[[torch.Tensor, Pair, Paged, Callable[[Paged], list[Pair]]], torch.Tensor] | None = None
    """Reads each sequence's keys and values where they lie in a cache; None has them gathered to a stream."""


REFERENCE = Kernel("reference", reference_attention)
CPU = Kernel("cpu", cpu_attention, cached_cpu_attention)
SDPA = Kernel("sdpa", sdpa_attention)
VARLEN = Kernel("varlen", varlen_attention)


@cache
def kernel_for(device: torch.device, dtype: torch.dtype, head_dim: int) -> Kernel:
    """The kernel for the layouts of `layout`; those of others are computed by their mask, with SDPA."""
    if device.type == "cpu":
        return CPU
    return VARLEN if runs_varlen(device, dtype, head_dim) else SDPA


def describe_attention(device: torch.device, dtype: torch.dtype, head_dim: int) -> str:
    """The choice in two words, for the line that tells how a model runs."""
    return f"{kernel_for(device, dtype, head_dim).name} attention"


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    cache: KVCache | None = None,
    layer: int = 0,
    rows: Rows = None,
    kernel: Kernel | None = None,
    limits: Restriction = UNRESTRICTED,
) -> torch.Tensor:
    """Attention of each token to the tokens that the layout lets it see.

    query `[T, H, C]`, key and value `[T, K, C]` with `H % K == 0`; returns `[T, H, C]`. A `Paged` layout
    needs a cache, to which the new keys and values of `layer` are appended. With `rows`, which of a `Paged`
    layout must be the last place of each sequence, query and result hold these alone, `[R, H, C]`. `kernel`
    None takes the fastest. `Pieces` go their own way, whatever `kernel` says, and fill a cache that is given.
    `limits`: a window and sinks, which no kernel but the reference knows: plain products then. Raises
    ValueError for a `Paged` layout without a cache or with other rows.
    """
    if isinstance(layout, Pieces) and rows is None and limits.none and kernel is not REFERENCE:
        if cache is not None:
            cache.append(layer, key, value, layout.written)
        return attend_pieces(query, key, value, layout)
    if kernel is None:
        known = isinstance(layout, Packed | Branched | Paged)
        kernel = kernel_for(query.device, query.dtype, query.shape[-1]) if known else SDPA
    if isinstance(layout, Branched):
        each = layout.key_rows(key.device)
        key, value = key.index_select(0, each), value.index_select(0, each)
    if not isinstance(layout, Paged):
        if not limits.none:
            return _limited(query, key, value, layout, limits, rows, kernel)
        return kernel.attention(query, key, value, layout, rows)
    if cache is None:
        raise ValueError("cache = None: a Paged layout continues cached sequences; pass the KVCache")
    cache.append(layer, key, value, layout)
    if rows is not None:
        layout = layout.last
    if len(query) != layout.total:
        raise ValueError(
            f"rows: {len(query)} for {layout.total} sequences; ask a Paged layout at the last place of each"
        )
    if not limits.none and kernel is not REFERENCE:
        return limited_attention(query, cache.sequences(layer, layout), layout, limits)
    if not limits.none:
        return _limited(query, *cache.stream(layer, layout), layout, limits, None, kernel)
    if kernel.cached is not None:
        pools = cache.keys[layer], cache.values[layer]
        return kernel.cached(query, pools, layout, partial(cache.sequences, layer))
    return kernel.attention(query, *cache.stream(layer, layout), layout)


def _limited(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    limits: Restriction,
    rows: Rows,
    kernel: Kernel,
) -> torch.Tensor:
    if kernel is REFERENCE:
        return reference_attention(query, key, value, layout, rows, limits)
    past = zip(key.split(layout.key_lengths), value.split(layout.key_lengths), strict=True)
    return limited_attention(query, list(past), layout, limits, rows)


def attend_across(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, count: int) -> torch.Tensor:
    """`count` sets of queries, each against keys of its own, all of which it sees.

    query `[count * Q, H, C]`, key and value `[count * L, K, C]`; returns `[count * Q, H, C]`.
    """
    return sdpa(query, key, value, count)


class Attend(nn.Module):
    """`attend` of one layer as a module without weights: what compiled blocks leave to the interpreter."""

    def __init__(self, layer: int = 0, window: int | None = None) -> None:
        super().__init__()
        self.layer, self.window = layer, window

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        layout: Layout,
        cache: KVCache | None = None,
        rows: Rows = None,
        sinks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """As `attend`; sinks [H]."""
        limits = UNRESTRICTED if self.window is None and sinks is None else Restriction(self.window, sinks)
        return attend(query, key, value, layout, cache, self.layer, rows, limits=limits)
