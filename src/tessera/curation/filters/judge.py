"""The part of a run that needs no model: records held against the rules, in any process, in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tessera.chat.message import Conversation, Image, Text
from tessera.curation.filters.config import FilterConfig
from tessera.curation.filters.domains import Domain, domain_by_rule
from tessera.curation.filters.length import LengthProfile, LengthSample
from tessera.curation.filters.rules.finding import Row, excerpt, worst
from tessera.curation.filters.rules.table import Hit, answer_length, find_hits
from tessera.records.faults import DataError, Reason
from tessera.records.source import Source

CHUNK = 256
"""Records that travel between processes together."""

Key = tuple[int, int, int]
"""Number of a source, first record and the one behind the last."""


@dataclass(frozen=True)
class Filtered:
    """A source as the filter sees it: its multimodal records may be exempt; documents have no roles."""

    source: Source
    size: int
    exempt: bool = False
    document: bool = False


@dataclass
class Judged:
    """What the rules say of one record. `sample` is the text for a model; None when none shall be asked."""

    source: int
    record: int
    file: str
    line: int
    multimodal: bool = False
    exempt: bool = False
    rows: list[Row] = field(default_factory=list)
    sample: str | None = None
    domain: Domain | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a cluster."""
        return asdict(self)


def judged_from(plain: Mapping[str, Any]) -> Judged:
    """The inverse of `as_dict`."""
    return Judged(**{**plain, "rows": [Row(**row) for row in plain["rows"]]})


def keys(sources: Sequence[Filtered]) -> list[Key]:
    """Chunks of all sources in order."""
    return [
        (number, start, min(start + CHUNK, filtered.size))
        for number, filtered in enumerate(sources)
        for start in range(0, filtered.size, CHUNK)
    ]


@dataclass(frozen=True)
class Measure:
    """First pass: the lengths of a chunk's answers."""

    sources: tuple[Filtered, ...]

    def __call__(self, key: Key) -> tuple[int, list[tuple[int, float]]]:
        """Number of the source and the sample of a chunk; faulty records are left to the second pass."""
        number, start, stop = key
        filtered, sample = self.sources[number], LengthSample()
        for record in range(start, stop):
            try:
                conversation = filtered.source.conversation(record)
            except DataError:
                continue
            sample.add(record, answer_length(conversation, filtered.document))
        return number, sample.kept


@dataclass(frozen=True)
class Judge:
    """Second pass: a chunk's records against the rules."""

    sources: tuple[Filtered, ...]
    config: FilterConfig
    profiles: tuple[LengthProfile | None, ...]

    def __call__(self, key: Key) -> list[Judged]:
        """What the rules say of every record of a chunk, in order."""
        number, start, stop = key
        return [self._record(number, record) for record in range(start, stop)]

    def _record(self, number: int, record: int) -> Judged:
        filtered = self.sources[number]
        file, line = filtered.source.place(record)
        judged = Judged(number, record, str(file), line)
        try:
            conversation = filtered.source.conversation(record)
        except DataError as error:
            judged.rows.append(self._faulty(judged, error))
            return judged
        judged.multimodal = bool(conversation.media)
        judged.exempt = judged.multimodal and filtered.exempt
        if judged.exempt:
            return judged
        hits = find_hits(conversation, self.config.rules, self.profiles[number], filtered.document)
        judged.rows += [self._row(judged, hit, conversation) for hit in hits]
        dropped = worst([row.verdict for row in judged.rows]) == "drop"
        if self.config.model is not None and (self.config.score_dropped or not dropped):
            judged.sample = transcript(conversation, self.config.longest_prompt)
            judged.domain = None if judged.multimodal else self._domain(number, judged.sample)
        return judged

    def _domain(self, number: int, text: str) -> Domain | None:
        """By the name of the source, else by rule; None leaves it to the model."""
        name = self.sources[number].source.name
        for pattern, domain in self.config.domains.sources.items():
            if fnmatchcase(name, pattern):
                return domain
        return domain_by_rule(text) if self.config.domains.by == "rule" else None

    def _row(self, judged: Judged, hit: Hit, conversation: Conversation) -> Row:
        levels, found = self.config.rules[hit.rule], hit.finding
        verdict = levels.verdict(found.value)
        row = self._blank_row(judged, hit.rule)
        length = answer_length(conversation, self.sources[judged.source].document)
        place: dict[str, Any] = {"excerpt": f"{length} characters in all answers"}
        if hit.turn is not None:
            text = conversation.messages[hit.turn].text
            shown = excerpt(text, found.start, found.end)
            place = {"turn": hit.turn, "start": found.start, "end": found.end, "excerpt": shown}
        value = round(found.value, 4)
        return Row(
            **{**row, "score": value, "threshold": levels.threshold(verdict), "verdict": verdict, **place}
        )

    def _faulty(self, judged: Judged, error: DataError) -> Row:
        """A record that can't be read is dropped; an answer left empty has its own rule."""
        empty = all(fault.reason is Reason.EMPTY_ANSWER for fault in error.faults)
        row = self._blank_row(judged, "empty_answer" if empty else "faulty")
        first = error.faults[0]
        told = f"{first.field}: {first.reason} ({first.detail})"
        return Row(
            **{**row, "score": float(len(error.faults)), "threshold": 1.0, "verdict": "drop", "excerpt": told}
        )

    def _blank_row(self, judged: Judged, rule: str) -> dict[str, Any]:
        name = self.sources[judged.source].source.name
        return {
            "source": name, "record": judged.record, "file": judged.file, "line": judged.line, "rule": rule,
        }  # fmt: skip


def transcript(conversation: Conversation, most: int) -> str:
    """The conversation as text for a model, media as [picture] and [clip]; head and tail if longer."""
    turns = []
    for message in conversation.messages:
        parts = (
            part.text if isinstance(part, Text) else "[picture]" if isinstance(part, Image) else "[clip]"
            for part in message.parts
        )
        turns.append(f"{message.role}: {''.join(parts)}")
    text = "\n\n".join(turns)
    if len(text) <= most:
        return text
    half = most // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[… {left_out} characters left out …]\n{text[-half:]}"
