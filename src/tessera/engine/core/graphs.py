"""Steps in which every sequence gets one token, on a CUDA device: recorded once for a number of sequences,
then started by one call, where PyTorch's calls one by one take ten times as long as the device."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

import torch

from tessera.models.vlm import VLM
from tessera.nn.attention.cache import KVCache
from tessera.nn.cuda.newest import (
    RecordedTokens,
    StreamedBlock,
    newest_states,
    streamed_product,
    why_not_streamed,
)
from tessera.nn.rope import rotary_tables

SIZES = (1, 2, 4, *range(8, 65, 8), *range(80, 257, 16))
"""Numbers of sequences that are recorded; others take the next larger one."""


@dataclass(frozen=True)
class Newest:
    """The newest token of a sequence, its position, its place in the sequence, and the sequence's pages."""

    token: int
    position: float
    place: int
    table: Seq[int]


@dataclass(frozen=True)
class Recorded:
    """A graph, and where its scores [B, V] are behind each replay."""

    graph: torch.cuda.CUDAGraph
    scores: torch.Tensor


class DecodeGraphs:
    """Recordings of one model and cache, made when they are needed first.

    The cache has one page more than sequences get: there go the keys of the places that are recorded beside
    those that are needed.
    """

    def __init__(self, model: VLM, cache: KVCache, most: int) -> None:
        self.model, self.cache, self.most = model, cache, min(most, SIZES[-1])
        decoder = model.decoder
        self.blocks = [StreamedBlock.of(parts) for parts in decoder.parts]
        pages, device = len(cache.keys[0]), decoder.norm.weight.device
        self._spare = (pages - 1) * cache.page_size
        size = _size(self.most)
        self._host = torch.zeros(3, size, dtype=torch.int64).pin_memory()
        self._host_places = torch.zeros(size).pin_memory()
        self._numbers = torch.zeros(3, size, dtype=torch.int64, device=device)
        self._places = torch.zeros(size, device=device)
        self._tables = torch.zeros(size, pages, dtype=torch.int32, device=device)
        self._known: list[list[int]] = [[] for _ in range(size)]
        """The pages that each row of `_tables` names."""
        self._recorded: dict[int, Recorded] = {}

    @staticmethod
    def obstacle(model: VLM) -> str:
        """Why a model's steps can't be recorded; empty where they can."""
        scaling = model.decoder.scaling
        if scaling is not None and scaling.needs_reach:
            return "the model's angles depend on how long a sequence is"
        return why_not_streamed(model.decoder.parts, model.config.decoder.head_width)

    def run(self, newest: Seq[Newest]) -> torch.Tensor:
        """Scores [B, V] behind each token, valid until the next call; keys and values are cached."""
        count, size = len(newest), _size(len(newest))
        for row, each in enumerate(newest):
            self._tell(row, each.table)
        page = self.cache.page_size
        slots = [each.table[each.place // page] * page + each.place % page for each in newest]
        idle = size - count
        self._host[0, :size] = torch.tensor([each.token for each in newest] + [0] * idle)
        self._host[1, :size] = torch.tensor(slots + [self._spare] * idle)
        self._host[2, :size] = torch.tensor([each.place + 1 for each in newest] + [0] * idle)
        self._host_places[:count] = torch.tensor([each.position for each in newest])
        self._numbers.copy_(self._host, non_blocking=True)
        self._places.copy_(self._host_places, non_blocking=True)
        if size not in self._recorded:
            self._recorded[size] = self._record(size)
        recorded = self._recorded[size]
        recorded.graph.replay()
        return recorded.scores[:count]

    def _tell(self, row: int, table: Seq[int]) -> None:
        """The device's copy of a sequence's pages; they change once in a page of tokens."""
        known = self._known[row]
        if known != table:
            self._known[row] = list(table)
            self._tables[row, : len(table)] = torch.tensor(table, dtype=torch.int32)

    def _record(self, size: int) -> Recorded:
        """Run once, for kernels are compiled and memory is found then, and again to record."""
        device = self._places.device
        with torch.cuda.device(device):
            beside = torch.cuda.Stream()
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                self._step(size)
            torch.cuda.current_stream().wait_stream(beside)
            graph = torch.cuda.CUDAGraph()
            pool = next((each.graph.pool() for each in self._recorded.values()), None)
            with torch.cuda.graph(graph, pool=pool):
                scores = self._step(size)
        return Recorded(graph, scores)

    def _step(self, size: int) -> torch.Tensor:
        decoder, config = self.model.decoder, self.model.config.decoder
        ids, slots, seen = self._numbers[:, :size]
        places = self._places[:size]
        x = decoder.embed(ids)
        tables = rotary_tables(places, config.head_width, config.rope_theta, decoder.scaling)
        turned = tables[0].to(x.dtype), tables[1].to(x.dtype)
        tokens = RecordedTokens(turned, slots, self._tables[:size], seen.int())
        x = newest_states(x, self.blocks, tokens, self.cache)
        return streamed_product(x, decoder.lm_head.weight, norm=decoder.norm)


def _size(count: int) -> int:
    return next(size for size in SIZES if size >= count)
