"""Every record checked before the first step: all faults gathered, each with file, line, field and remedy."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from tessera.curation.examine import Examiner, examine
from tessera.curation.lengths import Columns, Policy
from tessera.packing.index import open_index
from tessera.packing.measure import Measurer
from tessera.packing.samples.encode import DrawEncoder, SampleEncoder
from tessera.packing.samples.overlong import OverLong
from tessera.records.faults import DataError, Reason, RecordFault, describe
from tessera.records.readers.records import RecordReader
from tessera.records.source import WeightedSource
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress, silent


class CheckConfig(Config):
    """How thorough the check is, and what follows from faults."""

    max_tokens: int
    """longest sample in tokens"""
    max_tiles: int
    """most tiles of a sample"""
    over_long: OverLong = "error"
    """what becomes of longer records; only with "error" they are faults"""
    headers_only: bool = False
    """read picture headers only: quick, but a truncated picture is found when it is used"""
    on_fault: Literal["error", "skip"] = "error"
    """stop with the list, or leave the faulty records out and report them"""
    workers: int = Field(default=0, ge=0)
    """processes that check; 0 checks in the main process"""


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
            return f"{self.records} records without fault, {self.tokens} tokens, {self.tiles} tiles"
        return describe(self.faults, shown)


def check_sources(
    sources: Sequence[WeightedSource],
    encoder: SampleEncoder,
    config: CheckConfig,
    progress: Progress = silent,
) -> tuple[tuple[WeightedSource, ...], CheckReport]:
    """Check the sources that are read from files; drawn ones are right by construction.

    Returns the sources, without faulty records when the policy is "skip", and the report. Raises DataError
    with all faults when the policy is "error", or when no record of a source is left.
    """
    report = CheckReport()
    checked = []
    for entry in sources:
        if isinstance(entry.source, RecordReader):
            found = check_source(entry, encoder, config, progress)
            if found.faults and config.on_fault == "skip":
                entry = replace(entry, source=_without(entry.source, found.faults))
            report += found
        checked.append(entry)
    if report.faults and config.on_fault == "error":
        raise DataError(report.faults)
    return tuple(checked), report


def check_source(
    entry: WeightedSource,
    encoder: SampleEncoder,
    config: CheckConfig,
    progress: Progress = silent,
) -> CheckReport:
    """One finite source: its size, lengths, and all faults in order."""
    size = entry.source.size or 0
    found: dict[int, tuple[RecordFault, ...]] = {}
    for part in examine(entry, Examiner(entry, config.headers_only, deep=False), size, config.workers):
        found.update(part.faults)
        progress(entry.source.name, part.first + len(part.content), size)
    with tempfile.TemporaryDirectory() as folder:
        tokens, tiles = _check_lengths(entry, encoder, config, found, Path(folder))
    return CheckReport(size, tokens, tiles, tuple(f for index in sorted(found) for f in found[index]))


def _check_lengths(
    entry: WeightedSource,
    encoder: SampleEncoder,
    config: CheckConfig,
    found: dict[int, tuple[RecordFault, ...]],
    folder: Path,
) -> tuple[int, int]:
    """Tokens and tiles; records that are too long, or can't be measured, are found by the index that training
    uses afterwards."""
    limits = config.max_tokens, config.max_tiles
    index = open_index(entry, encoder, config.workers)
    if index is None:
        return 0, 0
    rejected = np.zeros(len(index), dtype=np.uint8)
    rejected[list(found)] = 1
    encode = DrawEncoder([entry], encoder, "token", False, 0)
    measure = Measurer([entry], [index], encode, limits, config.over_long, 0)
    policy = Policy(entry, measure, limits, config.over_long, found.__setitem__)
    tokens, tiles = policy.apply(Columns.of_index(index), rejected, folder).arrays()
    return int(tokens.sum()), int(tiles.sum())


def _without(source: RecordReader, faults: Sequence[RecordFault]) -> RecordReader:
    """The source without its faulty records."""
    rest = source.without({(fault.file, fault.line) for fault in faults})
    if not rest.size:
        raise DataError(faults)
    return rest
