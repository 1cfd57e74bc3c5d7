"""What one look at all records finds out: faults, lengths and, where it goes deep, duplicates and more.

`check.py` is the same look before training, which only wants the faults.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tessera.chat.encoder import Encoder
from tessera.curation.duplicates import mark_exact, mark_near, repeats
from tessera.curation.estimate import PackEstimate, estimate_packs
from tessera.curation.examine import EXAMPLES, Examiner
from tessera.curation.lengths import BLOCK, LengthSummary, SampleLengths
from tessera.curation.record_table import FaultLog, RecordTable, new_table
from tessera.curation.statistics import BoxEvidence
from tessera.packing.config import Limits
from tessera.packing.index import build_index, open_index
from tessera.packing.samples.encode import SampleEncoder
from tessera.records.faults import RecordFault
from tessera.records.source import Place, WeightedSource
from tessera.runtime.progress import Progress, silent
from tessera.runtime.workers import map_in_chunks

CHUNK = 128
"""Records that a process looks at before it reports."""
SHOWN = 50
"""Pairs of duplicates that a report names."""
BLIND_SHARE = 0.1
"""From this share of questions about pictures on, a source without any gets a remark."""


@dataclass
class SourceSurvey:
    """What one source showed. `first`: number of its first record among those of all sources."""

    entry: WeightedSource
    first: int
    size: int
    config: Limits
    items: SampleLengths
    log: FaultLog
    boxes: BoxEvidence = field(default_factory=BoxEvidence)
    scripts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    headers_only: bool = False
    showing: int = 0
    asking: int = 0
    exact: int = 0
    near: int = 0
    repeated_ids: int = 0

    @property
    def name(self) -> str:
        """The source's name."""
        return self.entry.source.name

    @property
    def span(self) -> slice:
        """Its rows among those of all sources."""
        return slice(self.first, self.first + self.size)

    @property
    def lengths(self) -> LengthSummary:
        """Histograms, and what the policy does."""
        return self.items.summary

    @property
    def remarks(self) -> list[str]:
        """Lines about what is no fault, counted, with the first places where there are some."""
        lines = []
        for note, count in self.notes.most_common():
            named = self.examples.get(note, [])
            rest = [f"and {count - len(named):,} more"] if named and count > len(named) else []
            lines.append("\n    ".join([f"{count:,} x {note}", *named, *rest]))
        others = self.size - self.log.records - self.lengths.pairs
        if self.lengths.pairs and others > 0:
            lines.append(
                f"{self.lengths.pairs:,} records have two answers and {others:,} have one: no stage trains "
                "both kinds; write them to two files"
            )
        if self.headers_only and self.showing:
            lines.append("pictures and clips were not decoded: what is cut off or damaged was not looked for")
        if not self.showing and self.asking >= BLIND_SHARE * self.size and self.asking:
            lines.append(
                f"no record has a picture or clip, but the questions of {self.asking:,} of {self.size:,} ask "
                "about one: look at the keys that name files, or set 'text_only: true' in the manifest"
            )
        return lines

    @cached_property
    def estimate(self) -> PackEstimate:
        """Packs of an epoch of this source alone."""
        return estimate_packs([self.items.arrays()], [self.entry.repeat], self.config)


@dataclass
class Survey:
    """All sources. Pairs: places of a duplicate and of the record it repeats. endless: sources left out."""

    config: Limits
    sources: list[SourceSurvey]
    table: RecordTable
    endless: list[str]
    exact_pairs: list[tuple[Place, Place]] = field(default_factory=list)
    near_pairs: list[tuple[Place, Place]] = field(default_factory=list)
    id_pairs: list[tuple[Place, Place]] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(source.size for source in self.sources)

    @property
    def faulty(self) -> int:
        """How many of them have a fault."""
        return sum(source.log.records for source in self.sources)

    @cached_property
    def estimate(self) -> PackEstimate:
        """Packs of an epoch of all sources, mixed."""
        lengths = [source.items.arrays() for source in self.sources]
        return estimate_packs(lengths, [source.entry.repeat for source in self.sources], self.config)

    def place(self, number: int) -> Place:
        """File and line of a record by its number among all."""
        owner = next(source for source in reversed(self.sources) if source.first <= number)
        return owner.entry.source.place(number - owner.first)


def survey(
    entries: Sequence[WeightedSource],
    encoder: SampleEncoder,
    limits: Limits,
    folder: Path,
    progress: Progress = silent,
    *,
    headers_only: bool = False,
    deep: bool = True,
    pairs: bool | None = None,
) -> Survey:
    """Look at all records of all finite sources. `folder` takes what is remembered, and stays in use.

    headers_only: do not decode pictures and clips: quick, but a truncated one is found only when it is used.
    deep: look for duplicates, boxes and scripts, too. pairs: all records must have two answers, or none may;
    None takes both. ValueError when the cache can't be written or a source
    can't be encoded at all.
    """
    finite = [entry for entry in entries if entry.source.size]
    endless = [entry.source.name for entry in entries if entry.source.size is None]
    table = new_table(folder, sum(entry.source.size or 0 for entry in finite))
    found = Survey(limits, [], table, endless)
    for number, entry in enumerate(finite):
        source = _open_source(entry, found.records, encoder, limits, folder / str(number), progress)
        source.headers_only = headers_only
        tokenizer = encoder.tokenizer if isinstance(encoder, Encoder) else None
        examiner = Examiner(entry, headers_only, deep, tokenizer, pairs)
        _look_through(source, table, examiner, deep, progress)
        found.sources.append(source)
    if deep:
        _find_duplicates(found)
    return found


def _open_source(
    entry: WeightedSource,
    first: int,
    encoder: SampleEncoder,
    limits: Limits,
    folder: Path,
    progress: Progress,
) -> SourceSurvey:
    """A source with the lengths of its records; `folder` takes those of drawn ones, which no cache keeps."""

    def tell(name: str, done: int, total: int | None) -> None:
        progress(f"{name}: lengths", done, total)

    folder.mkdir()
    index = open_index(entry, encoder, limits.workers, tell)
    if index is None:
        index = build_index(folder, entry, encoder, limits.workers, tell)
    items = SampleLengths(entry, index, encoder, limits, folder)
    log = FaultLog(folder / "faults.jsonl", entry.source.place)
    return SourceSurvey(entry, first, len(index), limits, items, log)


def _look_through(
    found: SourceSurvey, table: RecordTable, examiner: Examiner, deep: bool, progress: Progress
) -> None:
    """Every record once, then the over-long policy on those without fault."""
    rejected = table["rejected"][found.span]

    def reject(record: int, faults: Sequence[RecordFault]) -> None:
        rejected[record] = 1
        found.log.add(record, faults)

    for part in map_in_chunks(examiner, found.size, CHUNK, found.config.workers):
        last = part.first + len(part.content)
        span = slice(found.first + part.first, found.first + last)
        if deep:
            table["content"][span], table["id"][span] = part.content, part.ids
            table["signature"][span] = part.signatures
        found.boxes.merge(part.boxes)
        found.scripts.update(part.scripts)
        found.notes.update(part.notes)
        for note, places in part.examples.items():
            known = found.examples.setdefault(note, [])
            known += places[: EXAMPLES - len(known)]
        found.showing += part.showing
        found.asking += part.asking
        for record, faults in part.faults:
            reject(record, faults)
        progress(f"{found.name}: records", last, found.size)
    found.items.take(rejected, reject)
    found.log.close()


def _find_duplicates(found: Survey) -> None:
    """Mark duplicates over all sources, count them where they stand, and keep the first pairs."""
    table = found.table
    sound = table["content"]
    sound[table["rejected"] > 0] = 0
    mark_exact(sound, table["same_as"])
    mark_near(table["signature"], sound, table["same_as"], table["near_to"])
    for source in found.sources:
        source.exact = int(np.count_nonzero(table["same_as"][source.span] >= 0))
        source.near = int(np.count_nonzero(table["near_to"][source.span] >= 0))
        for records, firsts in repeats(table["id"][source.span]):
            source.repeated_ids += len(records)
            room = max(0, SHOWN - len(found.id_pairs))
            numbers = zip(records[:room] + source.first, firsts[:room] + source.first, strict=True)
            found.id_pairs += [(found.place(int(a)), found.place(int(b))) for a, b in numbers]
    for name, pairs in (("same_as", found.exact_pairs), ("near_to", found.near_pairs)):
        column = table[name]
        pairs += [(found.place(n), found.place(int(column[n]))) for n in _first_marked(column)]


def _first_marked(column: NDArray[np.int64]) -> list[int]:
    """The first SHOWN records that repeat another."""
    blocks = ((start, column[start : start + BLOCK]) for start in range(0, len(column), BLOCK))
    marked = (start + row for start, block in blocks for row in np.flatnonzero(block >= 0).tolist())
    return list(islice(marked, SHOWN))
