"""From sources to packs: draw, plan over a window, decode in workers; with a state that resumes exactly.

The plan is the same in every process: it follows from seed and state. A rank decodes only the packs that are
dealt to it, its workers only what those packs need.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from typing import Any, Self

from torch.utils.data import IterableDataset, get_worker_info

from tessera.packing.config import PackingConfig
from tessera.packing.decode import Decoded, decode_pack
from tessera.packing.delivery import DrawTally, LoaderStats
from tessera.packing.index import open_index
from tessera.packing.measure import ItemKey, Measurer, PackItem
from tessera.packing.mix import Mixer, MixState
from tessera.packing.pack import Pack
from tessera.packing.planning.balance import Work
from tessera.packing.planning.plan import PLANNER
from tessera.packing.planning.rows import PackRow, RowPosition, Share, deal_rows
from tessera.packing.planning.window import Round, Window, WindowState
from tessera.packing.samples.encode import DrawEncoder, SampleEncoder
from tessera.records.faults import DataError, RecordFault
from tessera.records.identity import identity
from tessera.records.source import WeightedSource, sample_key
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import shown
from tessera.runtime.workers import map_in_workers


class PackLoader(IterableDataset[Pack]):
    """An iterator of this rank's packs over a mixture of sources.

    `state_dict` names the position by record numbers only; after `load_state_dict` the same packs follow, to
    the byte, whatever the number of workers, and for any number of ranks when the state was taken between
    steps. packs_per_step counts the packs of all ranks between two optimizer steps. Use as a context manager
    or `close` it to stop workers early.
    """

    def __init__(
        self,
        sources: Sequence[WeightedSource],
        encoder: SampleEncoder,
        config: PackingConfig,
        rank: int = 0,
        world: int = 1,
        packs_per_step: int | None = None,
        work: Work | None = None,
        progress: Progress = silent,
    ) -> None:
        self.config, self.stats = config, LoaderStats()
        self.skipped: dict[RecordFault, None] = {}
        self.keys: list[str] = []
        """Samples of the step that is being delivered, those of all ranks."""
        self._share, self._work = Share(rank, world), work or Work()
        self._per_step = packs_per_step or world
        if self._per_step % world:
            raise ValueError(
                f"packs_per_step = {self._per_step} can't be shared by {world} ranks: make it a multiple of "
                f"{world}"
            )
        self._sources = tuple(sources)
        encode = DrawEncoder(
            self._sources, encoder, config.averaging, config.augment, config.seed, config.v2pe
        )
        indexes = [open_index(entry, encoder, config.workers, progress) for entry in self._sources]
        self._indexed = [index is not None for index in indexes]
        measure = Measurer(encode, indexes, config)
        self._window = Window(
            self._mixer, measure, config, self._per_step, self._work, indexed=all(self._indexed)
        )
        self._decode = partial(decode_pack, encode)
        self._position = RowPosition(WindowState(self._mixer().state))
        self._stream: Iterator[tuple[PackRow, Decoded]] | None = None

    def __iter__(self) -> Self:
        if get_worker_info() is not None:
            raise ValueError("PackLoader has its own workers: set PackingConfig.workers, and num_workers=0")
        return self

    def __next__(self) -> Pack:
        while True:
            _, pack = self._advance()
            if pack is not None:
                return pack

    def next_step(self) -> list[Pack]:
        """This rank's packs of the next step; fewer at the end of the data. StopIteration on all ranks when
        nothing is left.
        """
        packs = []
        while True:
            row, pack = self._advance()
            if pack is not None:
                packs.append(pack)
            if row.ends_step:
                return packs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers; iterating on starts them again at the same place."""
        self._stream = None

    def state_dict(self) -> dict[str, Any]:
        """The position as plain JSON values, the same on all ranks: where the round began, steps and rows
        taken from it, statistics.
        """
        at = self._position
        return {
            "setup": self._setup,
            "mix": {"draws": at.start.mix.draws, "positions": list(at.start.mix.positions)},
            "waiting": [list(key) for key in at.start.keys],
            "taken": {"steps": at.steps, "rows": at.rows, "world": self._share.world},
            "stats": {name: value for name, value in asdict(self.stats).items() if name != "waited"},
        }

    def load_state_dict(self, state: dict[str, Any], changed_data: bool = False) -> None:
        """Continue where the state was taken. ValueError when sources or packing settings differ.

        changed_data: the sources of the same names go on although what they give has changed. Samples that
        waited in the window are lost, for their numbers may mean others now.
        """
        saved, setup = state["setup"], self._setup
        changed_data = changed_data and saved["sources"] != setup["sources"]
        if changed_data:
            saved, setup = map(_without_data, (saved, setup))
        for name, value in setup.items():
            if (before := saved.get(name)) != value:
                raise ValueError(
                    f"{name}: the saved run had {shown(before)}, this one has {shown(value)}; "
                    "resume with the same sources and packing, or start a new run"
                )
        taken = state["taken"]
        if taken["rows"] and taken["world"] != self._share.world:
            raise ValueError(
                f"world {self._share.world}: the state was taken inside a step of {taken['world']} ranks; "
                "resume with as many, or save between steps"
            )
        self.close()
        mix = MixState(int(state["mix"]["draws"]), tuple(state["mix"]["positions"]))
        if changed_data:
            self._position = RowPosition(WindowState(mix))
        else:
            start = WindowState(mix, tuple(ItemKey(*key) for key in state["waiting"]))
            self._position = RowPosition(start, int(taken["steps"]), int(taken["rows"]))
        self.stats = LoaderStats.restored(state["stats"])

    def plan(self) -> Iterator[Round]:
        """The packs still to come, from lengths alone: nothing is decoded and the position stays."""
        return self._window.rounds(self._position.start)

    @cached_property
    def _setup(self) -> dict[str, Any]:
        """What must be equal for a state to fit; worker settings may differ."""
        packing = {"planner": PLANNER, **self.config.model_dump(exclude={"workers", "prefetch"})}
        sources = [[entry.source.name, identity(entry)] for entry in self._sources]
        return {**packing, "packs_per_step": self._per_step, "sources": sources, "indexed": self._indexed}

    def _mixer(self) -> Mixer:
        return Mixer(self._sources, self.config.seed, self.config.epochs)

    def _advance(self) -> tuple[PackRow, Pack | None]:
        """Deliver the next row: count it and move the position behind it. StopIteration at the end."""
        started = time.perf_counter()
        if self._stream is None:
            self._stream = self._open_stream()
        while True:
            found = next(self._stream, None)
            if found is None:
                self.close()
                raise StopIteration
            row, decoded = found
            if decoded.faults and self.config.on_fault == "error":
                raise DataError(decoded.faults)
            if not self._position.rows:  # a new step
                self.keys.clear()
            self._count(row, decoded)
            self._position = row.after
            if row.mine or row.others:
                self.stats.waited += time.perf_counter() - started
                return row, decoded.pack

    def _count(self, row: PackRow, decoded: Decoded) -> None:
        if row.news is not None:
            self.stats.add(row.news.tally)
            self.skipped.update(row.news.faults)
        self.stats.add(DrawTally(skipped=len(decoded.failed)))
        self.skipped.update(dict.fromkeys(decoded.faults))
        mine = [item for number, item in enumerate(row.mine) if number not in decoded.failed]
        for items in filter(None, (mine, *row.others)):
            named = [(self._sources[item.draw.source].source.name, item.lengths) for item in items]
            self.stats.count(named, self.config)
            self.keys += [self._key(item) for item in items]

    def _key(self, item: PackItem) -> str:
        return sample_key(self._sources[item.draw.source].source, item.draw.index)

    def _open_stream(self) -> Iterator[tuple[PackRow, Decoded]]:
        """Rows with their packs, decoded by workers where pixels are still to be read."""
        rows = deal_rows(self.plan(), self._position, self._share, self._work)
        if not self.config.workers or not any(self._indexed):
            return ((row, self._decode(row.mine)) for row in rows)
        ahead: deque[PackRow] = deque()

        def keys() -> Iterator[tuple[PackItem, ...]]:
            for row in rows:
                ahead.append(row)
                # A worker draws a picture again rather than receive its pixels.
                yield tuple(replace(item, sample=None) for item in row.mine)

        decoded = map_in_workers(self._decode, keys(), self.config.workers, self.config.prefetch)
        return ((ahead.popleft(), pack) for pack in decoded)


def _without_data(setup: dict[str, Any]) -> dict[str, Any]:
    """What must be equal even where the data has changed: the names of the sources."""
    return setup | {"sources": [name for name, _ in setup["sources"]], "indexed": None}
