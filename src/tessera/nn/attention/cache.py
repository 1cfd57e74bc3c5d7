"""Keys and values of past tokens, in pages.

The pool of one layer is `[pages, page_size, K, C]`. A sequence owns a list of pages; who hands them out, and
whether sequences share them, is the engine's matter and reaches this file by `Paged.pages` alone.
"""

from collections.abc import Sequence

import torch

from tessera.nn.attention.layout import Paged, places


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

    def append(self, layer: int, keys: torch.Tensor, values: torch.Tensor, layout: Paged) -> None:
        """Write the stream's keys and values `[T, K, C]` behind each sequence's context."""
        in_rows = keys.device.type == "cpu" and all(len(pages) == 1 for pages in layout.pages)
        if in_rows:
            self._check_room(layout)
        for pool, new in ((self.keys[layer], keys), (self.values[layer], values)):
            if not in_rows:
                pool.flatten(0, 1).index_copy_(0, self._slots(layout, new.device, written=True), new)
                continue
            # Whole rows at once: for a prompt an index takes twenty times as long.
            pieces = zip(new.split(layout.lengths), layout.contexts, layout.pages, strict=True)
            for piece, context, (page,) in pieces:
                pool[page, context : context + len(piece)] = piece

    def sequences(self, layer: int, layout: Paged) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of each sequence, `[context + new, K, C]`; those in one page are not copied."""
        keys, values = self.keys[layer], self.values[layer]
        owned = zip(layout.key_lengths, layout.pages, strict=True)
        return [(_read(keys, *each), _read(values, *each)) for each in owned]

    def stream(self, layer: int, layout: Paged) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of all sequences end to end, `[keys, K, C]`, as `cu_seqlens_k` counts them."""
        slots = self._slots(layout, self.keys[layer].device, written=False)
        return self.keys[layer].flatten(0, 1)[slots], self.values[layer].flatten(0, 1)[slots]

    def _slots(self, layout: Paged, device: torch.device, written: bool) -> torch.Tensor:
        """int64: where in the pool, its pages end to end, the new tokens go, or all tokens lie."""

        def make() -> torch.Tensor:
            self._check_room(layout)
            counts = layout.lengths if written else layout.key_lengths
            starts = layout.contexts if written else (0,) * len(counts)
            owner, place = places(counts, starts, device)
            page = layout.block_table(device)[owner, place // self.page_size]
            return page * self.page_size + place % self.page_size

        return layout.kept(f"{written}, pages of {self.page_size}", device, make)

    def _check_room(self, layout: Paged) -> None:
        for context, new, pages in zip(layout.contexts, layout.lengths, layout.pages, strict=True):
            if context + new > len(pages) * self.page_size:
                raise ValueError(
                    f"cache: {context} + {new} tokens do not fit {len(pages)} pages of {self.page_size};"
                    " give the sequence more pages"
                )


def _read(pool: torch.Tensor, length: int, pages: tuple[int, ...]) -> torch.Tensor:
    if len(pages) == 1:
        return pool[pages[0], :length]
    used = list(pages[: -(-length // pool.shape[1])])
    return pool[used].flatten(0, 1)[:length]
