"""Everything `tessera data check` finds out: lengths, one pass over the records, then duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tessera.curation.duplicates import mark_exact, mark_near, repeats
from tessera.curation.estimate import PackEstimate, estimate_packs
from tessera.curation.examine import Examiner, examine
from tessera.curation.lengths import BLOCK, Columns, ItemLengths, LengthSummary, OnFault, Policy
from tessera.curation.spool import FaultLog, Spool
from tessera.curation.statistics import BoxEvidence
from tessera.packing.index import open_index
from tessera.packing.measure import Measurer
from tessera.packing.samples.encode import DrawEncoder, SampleEncoder, encoder_of
from tessera.packing.samples.overlong import OverLong
from tessera.records.faults import RecordFault
from tessera.records.files.places import Location
from tessera.records.source import WeightedSource
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress

SHOWN = 50
"""Pairs of duplicates that a report names."""

Place = tuple[Location, int]


class SurveyConfig(Config):
    """At which limits, with which policy and how thoroughly."""

    max_tokens: int
    """capacity of a pack in tokens"""
    max_tiles: int
    """capacity of a pack in tiles"""
    over_long: OverLong = "error"
    """what becomes of records that are longer"""
    headers_only: bool = False
    """read picture headers only"""
    workers: int = 0
    """processes; 0 works in this one"""

    @property
    def limits(self) -> tuple[int, int]:
        """Tokens and tiles."""
        return self.max_tokens, self.max_tiles


@dataclass
class SourceSurvey:
    """What one source showed. `first`: number of its first record among those of all sources."""

    entry: WeightedSource
    first: int
    size: int
    log: FaultLog
    boxes: BoxEvidence = field(default_factory=BoxEvidence)
    scripts: Counter[str] = field(default_factory=Counter)
    exact: int = 0
    near: int = 0
    repeated_ids: int = 0
    items: ItemLengths | None = None
    estimate: PackEstimate | None = None

    @property
    def name(self) -> str:
        """The source's name."""
        return self.entry.source.name

    @property
    def lengths(self) -> LengthSummary:
        """Histograms, and what the policy does."""
        assert self.items is not None
        return self.items.summary


@dataclass
class Survey:
    """All sources. Pairs: places of a duplicate and of the record it repeats. endless: sources left out."""

    config: SurveyConfig
    sources: list[SourceSurvey]
    spool: Spool
    estimate: PackEstimate
    exact_pairs: list[tuple[Place, Place]]
    near_pairs: list[tuple[Place, Place]]
    id_pairs: list[tuple[Place, Place]]
    endless: list[str]

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(source.size for source in self.sources)

    @property
    def faulty(self) -> int:
        """How many of them have a fault."""
        return sum(source.log.records for source in self.sources)

    def place(self, number: int) -> Place:
        """File and line of a record by its number among all."""
        owner = self.owner(number)
        return owner.entry.source.place(number - owner.first)

    def owner(self, number: int) -> SourceSurvey:
        """The source of a record by its number among all."""
        return next(source for source in reversed(self.sources) if source.first <= number)


def survey(
    entries: Sequence[WeightedSource],
    encoder: SampleEncoder,
    config: SurveyConfig,
    folder: Path,
    progress: Progress,
) -> Survey:
    """Look at all records of all finite sources. `folder` takes what is remembered, and stays in use.

    ValueError when the cache can't be written or a source can't be encoded at all.
    """
    finite = [entry for entry in entries if entry.source.size is not None]
    spool = Spool(folder, sum(entry.source.size or 0 for entry in finite))
    sources, first = [], 0
    for number, entry in enumerate(finite):
        place = folder / str(number)
        place.mkdir()
        found = SourceSurvey(entry, first, entry.source.size or 0, FaultLog(place / "faults.jsonl"))
        _survey_source(found, encoder, config, spool, place, progress)
        sources.append(found)
        first += found.size
    lengths = [source.items.arrays() for source in sources if source.items is not None]
    repeat = [source.entry.repeat for source in sources]
    for source, own in zip(sources, lengths, strict=True):
        source.estimate = estimate_packs([own], [source.entry.repeat], *config.limits)
    whole = estimate_packs(lengths, repeat, *config.limits)
    endless = [entry.source.name for entry in entries if entry.source.size is None]
    result = Survey(config, sources, spool, whole, [], [], [], endless)
    _find_duplicates(result)
    return result


def _survey_source(
    found: SourceSurvey,
    encoder: SampleEncoder,
    config: SurveyConfig,
    spool: Spool,
    folder: Path,
    progress: Progress,
) -> None:
    """Lengths from the index, or measured on the way; then the records; then the policy."""
    entry, rejected = found.entry, spool["rejected"][found.first : found.first + found.size]
    index = open_index(entry, encoder, config.workers, lambda name, *at: progress(f"{name}: lengths", *at))

    def reject(record: int, faults: Sequence[RecordFault]) -> None:
        rejected[record] = 1
        found.log.add(record, faults)

    examiner = Examiner(
        entry, config.headers_only, True, None if index is not None else encoder_of(entry, encoder)
    )
    measured = _examine(found, examiner, config, spool, folder, reject, progress)
    columns = Columns.of_index(index) if index is not None else Columns.of_rows(measured)
    measure = Measurer(
        [entry], [index], DrawEncoder([entry], encoder, "token", False, 0), config.limits, config.over_long, 0
    )
    policy = Policy(entry, measure, config.limits, config.over_long, reject)
    found.items = policy.apply(columns, rejected, folder)
    found.log.close()


def _examine(
    found: SourceSurvey,
    examiner: Examiner,
    config: SurveyConfig,
    spool: Spool,
    folder: Path,
    reject: OnFault,
    progress: Progress,
) -> NDArray[np.int32]:
    """The pass over the records; lengths int32 [N, 3], memory-mapped, where there is no index."""
    shape = (max(1, found.size), 3)
    lengths = np.lib.format.open_memmap(folder / "lengths.npy", mode="w+", dtype=np.int32, shape=shape)
    for part in examine(found.entry, examiner, found.size, config.workers):
        last = part.first + len(part.content)
        span = slice(found.first + part.first, found.first + last)
        spool["content"][span], spool["id"][span] = part.content, part.ids
        spool["signature"][span] = part.signatures
        lengths[part.first : last] = part.lengths
        found.boxes.merge(part.boxes)
        found.scripts.update(part.scripts)
        for record, faults in part.faults:
            reject(record, faults)
        progress(f"{found.name}: records", last, found.size)
    return lengths[: found.size]


def _find_duplicates(result: Survey) -> None:
    """Mark duplicates over all sources, count them where they stand, and keep the first pairs."""
    spool = result.spool
    sound = spool["content"]
    sound[spool["rejected"] > 0] = 0
    mark_exact(sound, spool["same_as"])
    mark_near(spool["signature"], sound, spool["same_as"], spool["near_to"])
    for source in result.sources:
        span = slice(source.first, source.first + source.size)
        source.exact = int(np.count_nonzero(spool["same_as"][span] >= 0))
        source.near = int(np.count_nonzero(spool["near_to"][span] >= 0))
        for records, firsts in repeats(spool["id"][span]):
            source.repeated_ids += len(records)
            room = max(0, SHOWN - len(result.id_pairs))
            numbers = zip(records[:room].tolist(), firsts[:room].tolist(), strict=True)
            result.id_pairs += [
                (result.place(source.first + a), result.place(source.first + b)) for a, b in numbers
            ]
    for name, pairs in (("same_as", result.exact_pairs), ("near_to", result.near_pairs)):
        column = spool[name]
        pairs += [(result.place(n), result.place(int(column[n]))) for n in _first_marked(column)]


def _first_marked(column: NDArray[np.int64]) -> list[int]:
    """The first SHOWN records that repeat another."""
    found: list[int] = []
    for start in range(0, len(column), BLOCK):
        found += (start + np.flatnonzero(column[start : start + BLOCK] >= 0)).tolist()
        if len(found) >= SHOWN:
            break
    return found[:SHOWN]
