"""The part of a run that needs no model: records held against the rules, in any process, in any order."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tessera.chat.message import Conversation, Part, Text, kind_of
from tessera.curation.filters.config import FilterConfig
from tessera.curation.filters.domains import Domain, domain_by_rule
from tessera.curation.filters.length import LengthProfile, LengthSample
from tessera.curation.filters.rules.finding import Verdict, VerdictRow, worst
from tessera.curation.filters.rules.table import answer_length, find_rows
from tessera.curation.filters.sources import Filtered, Key
from tessera.records.faults import DataError, Reason


@dataclass
class JudgedRecord:
    """What is said of one record. `sample` is the text for a model; None when none shall be asked."""

    source: int
    record: int
    file: str
    line: int
    multimodal: bool = False
    exempt: bool = False
    rows: list[VerdictRow] = field(default_factory=list)
    sample: str | None = None
    domain: Domain | None = None

    @property
    def verdict(self) -> Verdict:
        return worst([row.verdict for row in self.rows])

    def as_rows(self, source: str) -> Iterator[dict[str, Any]]:
        """The rows as written in `verdicts.jsonl`, each with the record's place; `source` is its name."""
        place = {"source": source, "record": self.record, "file": self.file, "line": self.line}
        return (place | asdict(row) for row in self.rows)


def measure(sources: Sequence[Filtered], key: Key) -> list[tuple[int, float]]:
    """First pass: a sample of the lengths of a chunk's answers; faulty records are left to the second."""
    number, start, stop = key
    filtered, sample = sources[number], LengthSample()
    for record in range(start, stop):
        with suppress(DataError):
            conversation = filtered.source.conversation(record)
            sample.add(record, answer_length(conversation, filtered.document))
    return sample.kept


@dataclass(frozen=True)
class Judge:
    """Second pass: a chunk's records against the rules."""

    sources: tuple[Filtered, ...]
    config: FilterConfig
    profiles: tuple[LengthProfile | None, ...]

    def __call__(self, key: Key) -> list[JudgedRecord]:
        """What the rules say of every record of a chunk, in order."""
        number, start, stop = key
        return [self._record(number, record) for record in range(start, stop)]

    def _record(self, number: int, record: int) -> JudgedRecord:
        filtered = self.sources[number]
        file, line = filtered.source.place(record)
        judged = JudgedRecord(number, record, str(file), line)
        try:
            conversation = filtered.source.conversation(record)
        except DataError as error:
            judged.rows.append(_faulty(error))
            return judged
        judged.multimodal = bool(conversation.media)
        judged.exempt = judged.multimodal and filtered.exempt
        if judged.exempt:
            return judged
        judged.rows += find_rows(conversation, self.config.rules, self.profiles[number], filtered.document)
        if self.config.model is not None and (self.config.score_dropped or judged.verdict != "drop"):
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


def _faulty(error: DataError) -> VerdictRow:
    """A record that can't be read is dropped; an answer left empty has its own rule."""
    empty = all(fault.reason is Reason.EMPTY_ANSWER for fault in error.faults)
    first = error.faults[0]
    told = f"{first.field}: {first.reason} ({first.detail})"
    return VerdictRow(
        "empty_answer" if empty else "faulty", float(len(error.faults)), 1.0, "drop", excerpt=told
    )


def transcript(conversation: Conversation, most: int) -> str:
    """The conversation as text for a model, media as [picture] and [clip]; head and tail if longer."""
    text = "\n\n".join(
        f"{message.role}: {''.join(map(_in_words, message.parts))}" for message in conversation.messages
    )
    half = most // 2
    if len(text) <= most:
        return text
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def _in_words(part: Part) -> str:
    words = {"image": "[picture]", "video": "[clip]", "audio": "[sound]"}
    return part.text if isinstance(part, Text) else words[kind_of(part)]
