"""Keys and values of past tokens, in pages.

The pool of one layer is `[pages, page_size, K, C]`. A sequence owns a list of pages; with one page per
sequence (`KVCache.contiguous`) its past is one contiguous view and reading it copies nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tessera.nn.layout import Paged


class KVCache:
    """Pools for all layers. A sequence that outgrows its pages is an error, never a wrap.

    `device` is one for all layers or one for each.
    """

    def __init__(
        self,
        layers: int,
        pages: int,
        page_size: int,
        kv_heads: int,
        head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | Sequence[torch.device | str] = "cpu",
    ) -> None:
        shape = (pages, page_size, kv_heads, head_dim)
        self.page_size = page_size
        devices = [device] * layers if isinstance(device, torch.device | str) else device
        if len(devices) != layers:
            raise ValueError(f"device has {len(devices)} entries for {layers} layers: give one or one each")
        self.keys = [torch.empty(shape, dtype=dtype, device=place) for place in devices]
        self.values = [torch.empty(shape, dtype=dtype, device=place) for place in devices]

    @staticmethod
    def bytes_per_token(layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype) -> int:
        """Memory that one cached token takes over all layers."""
        return 2 * layers * kv_heads * head_dim * dtype.itemsize

    def extend(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, layout: Paged
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Append new keys and values `[T, K, C]`; returns all per sequence, `[context + new, K, C]`."""
        past = []
        for (start, end), context, pages in zip(
            layout.bounds, layout.context_lengths, layout.pages, strict=True
        ):
            pair = (self.keys[layer], self.values[layer])
            for pool, new in zip(pair, (keys[start:end], values[start:end]), strict=True):
                self._write(pool, new, context, pages)
            length = context + end - start
            past.append((self._read(pair[0], length, pages), self._read(pair[1], length, pages)))
        return past

    def _write(self, pool: torch.Tensor, new: torch.Tensor, context: int, pages: tuple[int, ...]) -> None:
        if context + len(new) > len(pages) * self.page_size:
            raise ValueError(
                f"cache: {context} + {len(new)} tokens do not fit {len(pages)} pages of {self.page_size};"
                " give the sequence more pages"
            )
        written = 0
        while written < len(new):
            page, offset = divmod(context + written, self.page_size)
            count = min(self.page_size - offset, len(new) - written)
            pool[pages[page], offset : offset + count] = new[written : written + count]
            written += count

    def _read(self, pool: torch.Tensor, length: int, pages: tuple[int, ...]) -> torch.Tensor:
        if len(pages) == 1:
            return pool[pages[0], :length]
        used = list(pages[: -(-length // self.page_size)])
        return pool[used].flatten(0, 1)[:length]
