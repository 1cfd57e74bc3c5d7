"""Every record checked before the first step: all faults gathered, each with file, line, field and remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tessera.chat.message import Conversation, Image, Video
from tessera.data.encode import SampleEncoder
from tessera.data.faults import DataError, Reason, RecordFault, describe
from tessera.data.media import media_problem
from tessera.data.readers.records import RecordReader
from tessera.data.sizes import size_faults
from tessera.data.source import WeightedSource
from tessera.runtime.config import Config

Progress = Callable[[str, int, int], None]
"""Called with source name, records done and records in all."""


class CheckConfig(Config):
    """How thorough the check is, and what follows from faults."""

    max_tokens: int
    """longest sample in tokens"""
    max_tiles: int
    """most tiles of a sample"""
    headers_only: bool = False
    """read picture headers only: quick, but a truncated picture is found when it is used"""
    on_fault: Literal["error", "skip"] = "error"
    """stop with the list, or leave the faulty records out and report them"""


@dataclass
class CheckReport:
    """What was checked and found."""

    records: int = 0
    tokens: int = 0
    tiles: int = 0
    faults: list[RecordFault] = field(default_factory=list)

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
    progress: Progress | None = None,
) -> tuple[tuple[WeightedSource, ...], CheckReport]:
    """Check the sources that are read from files; drawn ones are right by construction.

    Returns the sources, without faulty records when the policy is "skip", and the report. Raises DataError
    with all faults when the policy is "error", ValueError when no record of a source is left.
    """
    report = CheckReport()
    checked = []
    for entry in sources:
        if isinstance(entry.source, RecordReader):
            faults = check_source(entry.source, encoder, config, report, progress)
            if faults and config.on_fault == "skip":
                entry = replace(entry, source=_without(entry.source, faults))
        checked.append(entry)
    if report.faults and config.on_fault == "error":
        raise DataError(report.faults)
    return tuple(checked), report


def check_source(
    source: RecordReader,
    encoder: SampleEncoder,
    config: CheckConfig,
    report: CheckReport,
    progress: Progress | None = None,
) -> list[RecordFault]:
    """All faults of one source; they are added to the report, too."""
    checker = _Checker(source, encoder, config, report)
    faults: list[RecordFault] = []
    for index in range(source.size):
        faults += checker.record_faults(index)
        if progress is not None:
            progress(source.name, index + 1, source.size)
    report.records += source.size
    report.faults += faults
    return faults


class _Checker:
    """Checks the records of one file one after the other; remembers ids and files it has seen."""

    def __init__(
        self, source: RecordReader, encoder: SampleEncoder, config: CheckConfig, report: CheckReport
    ) -> None:
        self._source = source
        self._encoder = encoder
        self._config = config
        self._report = report
        self._first_line: dict[str, int] = {}
        self._media: dict[Image | Video, tuple[Reason, str] | None] = {}

    def record_faults(self, index: int) -> list[RecordFault]:
        """Structure, id, media files and length of one record."""
        try:
            faults = self._id_faults(index)
        except DataError as error:
            return list(error.faults)
        try:
            conversation = self._source.conversation(index)
        except DataError as error:
            return faults + list(error.faults)
        media = self._media_faults(index, conversation)
        if not media:
            media = size_faults(self._source.record(index), conversation, self._source.place(index))
        return faults + (media or self._length_faults(index, conversation))

    def _fault(self, index: int, where: str, reason: Reason, detail: str) -> RecordFault:
        file, line = self._source.place(index)
        return RecordFault(file, line, where, reason, detail)

    def _id_faults(self, index: int) -> list[RecordFault]:
        """An id that an earlier record has; records without id are fine."""
        record = self._source.record(index)
        if not isinstance(record, dict) or record.get("id") is None:
            return []
        name, line = repr(record["id"]), self._source.place(index)[1]
        first = self._first_line.setdefault(name, line)
        if first == line:
            return []
        return [self._fault(index, "id", Reason.DUPLICATE_ID, f"{name} is the id of line {first}")]

    def _media_faults(self, index: int, conversation: Conversation) -> list[RecordFault]:
        """Files that are missing or can't be decoded; a file used again is not read again."""
        faults = []
        for part in conversation.media:
            if part not in self._media:
                self._media[part] = media_problem(part, self._config.headers_only)
            if (problem := self._media[part]) is not None:
                where = "image" if isinstance(part, Image) else "video"
                faults.append(self._fault(index, where, *problem))
        return faults

    def _length_faults(self, index: int, conversation: Conversation) -> list[RecordFault]:
        """More tokens or tiles than a pack can hold."""
        try:
            lengths = self._encoder.measure(conversation)
        except (ValueError, OSError) as error:
            return [self._fault(index, "record", Reason.UNUSABLE, str(error))]
        self._report.tokens += lengths.tokens
        self._report.tiles += lengths.tiles
        limits = self._config
        if lengths.tokens <= limits.max_tokens and lengths.tiles <= limits.max_tiles:
            return []
        tokens = f"{lengths.tokens} of {limits.max_tokens} tokens"
        detail = f"{tokens}, {lengths.tiles} of {limits.max_tiles} tiles"
        return [self._fault(index, "conversations", Reason.TOO_LONG, detail)]


def _without(source: RecordReader, faults: Sequence[RecordFault]) -> RecordReader:
    """The source without its faulty records."""
    rest = source.without({(fault.file, fault.line) for fault in faults})
    if not rest.size:
        raise DataError(faults)
    return rest
