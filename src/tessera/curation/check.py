"""Before the first step: the shallow survey. All faults, each with file, line, field and remedy."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tessera.curation.survey import SourceSurvey, survey
from tessera.packing.config import Limits
from tessera.packing.samples.encode import SampleEncoder
from tessera.records.faults import DataError, Reason, RecordFault, describe
from tessera.records.readers.records import RecordReader
from tessera.records.source import WeightedSource
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import counted


@dataclass(frozen=True)
class CheckReport:
    """What was checked and found; reports add up."""

    records: int = 0
    tokens: int = 0
    tiles: int = 0
    faults: tuple[RecordFault, ...] = ()

    def __add__(self, other: CheckReport) -> CheckReport:
        return CheckReport(
            self.records + other.records,
            self.tokens + other.tokens,
            self.tiles + other.tiles,
            self.faults + other.faults,
        )

    @property
    def counts(self) -> dict[Reason, int]:
        """Faults per reason, most frequent first."""
        return dict(Counter(fault.reason for fault in self.faults).most_common())

    def describe(self, shown: int = 20) -> str:
        """The result in words, at most `shown` faults listed."""
        if not self.faults:
            size = f"{counted(self.tokens, 'token')}, {counted(self.tiles, 'tile')}"
            return f"{counted(self.records, 'record')} without fault, {size}"
        return describe(self.faults, shown)


def check_sources(
    sources: Sequence[WeightedSource],
    encoder: SampleEncoder,
    limits: Limits,
    progress: Progress = silent,
    headers_only: bool = False,
    pairs: bool | None = None,
) -> tuple[tuple[WeightedSource, ...], CheckReport]:
    """Check the sources that are read from files; drawn ones are right by construction.

    pairs: all records must have two answers, or none may; None takes both.
    Returns the sources, without faulty records when `limits.on_fault` is "skip", and the report. Raises
    DataError with all faults when it is "error", or when no record of a source is left.
    """
    checked, report = list(sources), CheckReport()
    files = [n for n, s in enumerate(sources) if isinstance(s.source, RecordReader) and s.source.size]
    with tempfile.TemporaryDirectory() as folder:
        found = survey(
            [sources[number] for number in files], encoder, limits, Path(folder), progress,
            headers_only=headers_only, deep=False, pairs=pairs,
        )  # fmt: skip
        for number, source in zip(files, found.sources, strict=True):
            own = _report(source)
            checked[number] = _without(sources[number], own.faults)
            report += own
    if report.faults and limits.on_fault == "error":
        raise DataError(report.faults)
    return tuple(checked), report


def _report(found: SourceSurvey) -> CheckReport:
    """One source, its faults in the order of its records."""
    rows = sorted(found.log.rows(), key=lambda row: row[0])
    tokens, tiles = (int(lengths.sum(dtype="int64")) for lengths in found.items.arrays())
    return CheckReport(found.size, tokens, tiles, tuple(fault for _, faults in rows for fault in faults))


def _without(entry: WeightedSource, faults: Sequence[RecordFault]) -> WeightedSource:
    """The source without its faulty records."""
    if not faults or not isinstance(entry.source, RecordReader):
        return entry
    rest = entry.source.without({(fault.file, fault.line) for fault in faults})
    if not rest.size:
        raise DataError(faults)
    return replace(entry, source=rest)
