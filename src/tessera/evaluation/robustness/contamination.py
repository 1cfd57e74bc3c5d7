"""Questions of a benchmark that stand in training data: their picture, their words, or both in one record."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tessera.chat.message import Conversation, Image
from tessera.evaluation.comparing.intervals import Intervals, interval_of
from tessera.evaluation.comparing.resampling import Unit
from tessera.evaluation.robustness.pictures import PictureIndex, PicturePrint, print_of
from tessera.evaluation.rows.item import Item
from tessera.imaging.decode import UnreadablePicture, decode_image
from tessera.records.source import Source, WeightedSource
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import counted
from tessera.runtime.workers import map_in_chunks
from tessera.scoring.verdict import Aggregate, Graded

SeenKind: TypeAlias = Literal["picture", "picture nearly", "question", "picture and question"]
SEEN_KINDS: tuple[SeenKind, ...] = ("picture and question", "picture", "picture nearly", "question")
"""From strong to weak. A question that is common, such as "What is in the picture?", says little alone."""
FEWEST_WORDS = 4
"""A shorter question is looked for only beside its picture."""
CHUNK = 64
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")

Words: TypeAlias = tuple[str, ...]
Found: TypeAlias = dict[tuple[int, SeenKind], tuple[int, int]]
"""Question's number and kind → first record, and how many."""


@dataclass(frozen=True)
class KnownQuestion:
    """A question of a benchmark as far as it can be known again."""

    index: str
    text: str
    pictures: tuple[Path, ...] = ()


def known_questions(items: Iterable[Item]) -> list[KnownQuestion]:
    """Of a benchmark; clips are not compared."""
    return [
        KnownQuestion(
            item.index,
            item.reference.question,
            tuple(media.path for media in item.media if media.kind == "image"),
        )
        for item in items
    ]


@dataclass
class ChunkFound:
    """What some records showed, and what in them was not looked at."""

    found: Found = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, question: int, kind: SeenKind, record: int) -> None:
        """One more record with it."""
        first, count = self.found.get((question, kind), (record, 0))
        self.found[question, kind] = (first, count + 1)


class SeenLook:
    """Looks for known questions in conversations. Picklable; memory grows with the benchmark alone."""

    def __init__(self, known: Sequence[KnownQuestion], progress: Progress = silent) -> None:
        self.known = known
        self._texts: dict[Words, list[int]] = {}
        for number, one in enumerate(known):
            self._texts.setdefault(words_of(one.text), []).append(number)
        self._begins: dict[Words, list[Words]] = {}
        for words in self._texts:
            if len(words) >= FEWEST_WORDS:
                self._begins.setdefault(words[:FEWEST_WORDS], []).append(words)
        owners: dict[Path, list[int]] = {}
        for number, one in enumerate(known):
            for path in one.pictures:
                owners.setdefault(path, []).append(number)
        self._owners, prints = [], []
        for done, (path, numbers) in enumerate(owners.items(), 1):
            prints.append(print_of(decode_image(path)))
            self._owners.append(numbers)
            progress("benchmark's pictures", done, len(owners))
        self._pictures = PictureIndex(prints)

    def look(self, conversation: Conversation, record: int, into: ChunkFound) -> None:
        """Add what a record shows of known questions."""
        asked = [words_of(m.text) for m in conversation.messages if m.role != "assistant"]
        asked = asked or [words_of(m.text) for m in conversation.messages]
        shown = self._shown(conversation, into)
        said = {number for words in asked for number in self._said(words)}
        for number, kind in shown.items():
            words = words_of(self.known[number].text)
            both = number in said or (0 < len(words) < FEWEST_WORDS and words in asked)
            into.add(number, "picture and question" if both else kind, record)
        for number in said - shown.keys():
            into.add(number, "question", record)

    def _said(self, words: Words) -> Iterator[int]:
        """Numbers of the known questions that stand in a text, all their words in order."""
        for at in range(len(words) - FEWEST_WORDS + 1):
            for known in self._begins.get(words[at : at + FEWEST_WORDS], ()):
                if words[at : at + len(known)] == known:
                    yield from self._texts[known]

    def _shown(self, conversation: Conversation, into: ChunkFound) -> dict[int, SeenKind]:
        """Numbers of the known questions whose picture stands in a record."""
        found: dict[int, SeenKind] = {}
        for one in self._prints(conversation, into):
            same, near = self._pictures.find(one)
            found |= {
                number: "picture nearly" for at in near for number in self._owners[at] if number not in found
            }
            found |= {number: "picture" for at in same for number in self._owners[at]}
        return found

    def _prints(self, conversation: Conversation, into: ChunkFound) -> Iterator[PicturePrint]:
        for part in conversation.media:
            if not isinstance(part, Image):
                into.left_out["clip"] += 1
                continue
            for source in (part.source, *part.joined):
                try:
                    yield print_of(decode_image(source, reading=part.reading))
                except (UnreadablePicture, OSError):
                    into.left_out["unreadable picture"] += 1


def words_of(text: str) -> Words:
    """Words in lower case; a Chinese character is one. Marks for pictures are no words of it.

    >>> words_of("<image>\\nWhat's in 图1?")
    ('what', 's', 'in', '图', '1')
    """
    return tuple(_WORD.findall(re.sub(r"<(?:image|video)(?: ?\d+)?>", " ", text).lower()))


@dataclass(frozen=True)
class SeenReport:
    """Which questions were seen: index → kind → first place and number of records.

    left_out: what was not compared, counted. endless: sources without an end, not looked through.
    """

    questions: int
    records: int
    seen: Mapping[str, Mapping[SeenKind, tuple[str, int]]]
    left_out: Mapping[str, int]
    endless: Sequence[str] = ()

    def of_kind(self, kind: SeenKind) -> list[str]:
        """Indexes of the questions that were seen in this way."""
        return [index for index, kinds in self.seen.items() if kind in kinds]

    @property
    def pictured(self) -> list[str]:
        """Indexes of the questions whose picture was seen, with their words or not."""
        return [index for index, kinds in self.seen.items() if kinds.keys() - {"question"}]

    def told(self) -> list[str]:
        """Lines for people, strong evidence first."""
        lines = []
        for kind in SEEN_KINDS:
            if indexes := self.of_kind(kind):
                place = self.seen[indexes[0]][kind][0]
                share = len(indexes) / self.questions
                noun = counted(len(indexes), "question")
                lines.append(f"{noun} ({share:.1%}) seen, {kind}: {indexes[0]} at {place}, …")
        lines += [f"not compared: {counted(count, what)}" for what, count in self.left_out.items()]
        return lines + [f"not looked through: {name} (it has no end)" for name in self.endless]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "questions": self.questions,
            "records": self.records,
            "counts": {kind: len(self.of_kind(kind)) for kind in SEEN_KINDS},
            "seen": {
                index: {kind: {"first": place, "records": count} for kind, (place, count) in kinds.items()}
                for index, kinds in self.seen.items()
            },
            "left_out": dict(self.left_out),
            "endless": list(self.endless),
        }


def look_through(
    known: Sequence[KnownQuestion],
    entries: Sequence[WeightedSource],
    workers: int = 0,
    progress: Progress = silent,
) -> SeenReport:
    """Look for questions in all records of all finite sources, once. Records that are faulty are counted.

    UnreadablePicture where a picture of the benchmark can't be read.
    """
    look = SeenLook(known, progress)
    seen: dict[str, dict[SeenKind, tuple[str, int]]] = {}
    left_out, records = Counter[str](), 0
    finite = [entry.source for entry in entries if entry.source.size]
    for source in finite:
        size = source.size or 0
        records += size
        done = 0
        for part in map_in_chunks(_SourceLook(source, look), size, CHUNK, workers):
            left_out.update(part.left_out)
            for (number, kind), (record, count) in part.found.items():
                kinds = seen.setdefault(known[number].index, {})
                first, before = kinds.get(kind, ("", 0))
                kinds[kind] = (first or _place(source, record), before + count)
            done = min(size, done + CHUNK)
            progress(f"{source.name}: records", done, size)
    endless = [entry.source.name for entry in entries if entry.source.size is None]
    return SeenReport(len(known), records, seen, left_out, endless)


@dataclass(frozen=True)
class _SourceLook:
    """Records of a source, chunk by chunk, in any process."""

    source: Source
    look: SeenLook

    def __call__(self, bounds: tuple[int, int]) -> ChunkFound:
        found = ChunkFound()
        for record in range(*bounds):
            try:
                conversation = self.source.conversation(record)
            except (ValueError, OSError):
                found.left_out["faulty record"] += 1
                continue
            self.look.look(conversation, record, found)
        return found


def _place(source: Source, record: int) -> str:
    file, line = source.place(record)
    return f"{file}:{line}"


def scores_by_seen(
    graded: Sequence[Graded],
    seen: Collection[str],
    aggregate: Aggregate,
    unit: Unit | None = None,
    seed: int = 0,
) -> dict[str, Intervals]:
    """Figures of all questions, of those seen and of the others; a group without questions is left out."""
    groups: dict[str, Iterable[Graded]] = {
        "all": graded,
        "seen": [one for one in graded if one.index in seen],
        "not seen": [one for one in graded if one.index not in seen],
    }
    return {
        name: interval_of(some, aggregate, unit, seed) for name, group in groups.items() if (some := [*group])
    }
