"""Keys and values of past tokens, in pages.

The pool of one layer is `[pages, page_size, K, C]`. A sequence owns a list of pages; who hands them out, and
whether sequences share them, is the engine's matter and reaches this file by `Paged.pages` alone.
"""

from collections.abc import Sequence

import torch

from tessera.nn.attention.layout import Paged, places

Runs = list[tuple[int, int]]
"""(first slot, tokens) in a pool whose pages lie end to end."""


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
        self.beside: dict[int, object] = {}
        """What a layer keeps from one step to the next, as long as its cache (`nn/decoding.py`)."""

    def append(self, layer: int, keys: torch.Tensor, values: torch.Tensor, layout: Paged) -> None:
        """Write the stream's keys and values `[T, K, C]` behind each sequence's context."""
        in_runs = keys.device.type == "cpu" and (layout.total > len(layout.lengths) or layout.total == 1)
        for pool, new in ((self.keys[layer], keys), (self.values[layer], values)):
            flat = pool.flatten(0, 1)
            if not in_runs:
                flat.index_copy_(0, self._slots(layout, new.device, written=True), new)
                continue
            # Whole runs at once: for a prompt an index takes twenty times as long.
            runs = [run for sequence in self._runs(layout, written=True) for run in sequence]
            for piece, (slot, count) in zip(new.split([count for _, count in runs]), runs, strict=True):
                flat[slot : slot + count] = piece

    def sequences(self, layer: int, layout: Paged) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of each sequence, `[context + new, K, C]`; not copied where its pages follow each
        other in the pool."""
        keys, values = self.keys[layer].flatten(0, 1), self.values[layer].flatten(0, 1)
        return [(_read(keys, runs), _read(values, runs)) for runs in self._runs(layout, written=False)]

    def stream(self, layer: int, layout: Paged) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of all sequences end to end, `[keys, K, C]`, as `cu_seqlens_k` counts them."""
        slots = self._slots(layout, self.keys[layer].device, written=False)
        return self.keys[layer].flatten(0, 1)[slots], self.values[layer].flatten(0, 1)[slots]

    def _runs(self, layout: Paged, written: bool) -> list[Runs]:
        """Of each sequence, where in the pool its new tokens go, or all its tokens lie."""

        def make() -> list[Runs]:
            self.check_room(layout)
            starts = layout.contexts if written else (0,) * len(layout.contexts)
            spans = zip(layout.pages, starts, layout.key_lengths, strict=True)
            return [runs_of(pages, start, stop, self.page_size) for pages, start, stop in spans]

        return layout.kept(f"runs {written}, pages of {self.page_size}", torch.device("cpu"), make)

    def _slots(self, layout: Paged, device: torch.device, written: bool) -> torch.Tensor:
        """int64: where in the pool, its pages end to end, the new tokens go, or all tokens lie."""

        def make() -> torch.Tensor:
            self.check_room(layout)
            counts = layout.lengths if written else layout.key_lengths
            starts = layout.contexts if written else (0,) * len(counts)
            owner, place = places(counts, starts, device)
            page = layout.block_table(device)[owner, place // self.page_size]
            return page * self.page_size + place % self.page_size

        return layout.kept(f"{written}, pages of {self.page_size}", device, make)

    def check_room(self, layout: Paged) -> None:
        """ValueError where a sequence has too few pages for its tokens."""
        for context, new, pages in zip(layout.contexts, layout.lengths, layout.pages, strict=True):
            if context + new > len(pages) * self.page_size:
                raise ValueError(
                    f"cache: {context} + {new} tokens do not fit {len(pages)} pages of {self.page_size};"
                    " give the sequence more pages"
                )


def runs_of(pages: Sequence[int], start: int, stop: int, page_size: int) -> Runs:
    """Where the tokens `start` to `stop` of a sequence lie; pages that follow each other are one run."""
    runs: Runs = []
    while start < stop:
        page, place = divmod(start, page_size)
        slot, count = pages[page] * page_size + place, min(page_size - place, stop - start)
        if runs and sum(runs[-1]) == slot:
            slot, before = runs.pop()
            runs.append((slot, before + count))
        else:
            runs.append((slot, count))
        start += count
    return runs


def _read(pool: torch.Tensor, runs: Runs) -> torch.Tensor:
    pieces = [pool[slot : slot + count] for slot, count in runs]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)
