"""Records to what a critic rates: a question with its pictures, and a solution in steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tessera.align.preferences.lines import open_lines
from tessera.align.preferences.response import Fields
from tessera.align.process.records import question_of
from tessera.chat.message import IMAGE_MARK, Conversation, Image, Message, fill_marks
from tessera.records.faults import DataError
from tessera.records.files.places import inside

Read = Callable[[Fields], tuple[tuple[str, ...], str, tuple[str, ...]]]
"""A line to pictures, question and steps. DataError for what can't be rated."""


@dataclass(frozen=True)
class RatedItem:
    """A solution to be rated, by the number of its line among the lines; or why it can't be."""

    number: int
    line: int
    pictures: tuple[str, ...] = ()
    question: str = ""
    steps: tuple[str, ...] = ()
    fault: str = ""

    @property
    def key(self) -> tuple[tuple[str, ...], str]:
        """What solutions of one question share."""
        return self.pictures, self.question

    def conversation(self, media: Path, max_tiles: int | None = None) -> Conversation:
        """The question with its pictures, which lie below `media`. ValueError for one that lies elsewhere."""
        marked = question_of(self.question, len(self.pictures))
        images = (Image(Path(inside(media, path))) for path in self.pictures)
        parts = fill_marks(marked, {IMAGE_MARK: images} if self.pictures else {})
        talk = Conversation((Message("user", parts),))
        return talk if max_tiles is None else talk.limited(talk.share_tiles(max_tiles))


def read_items(file: Path, read: Read) -> Iterator[RatedItem]:
    """Every line of a JSONL file. ValueError for a file without lines."""
    lines = open_lines(file)
    for number in range(len(lines)):
        line = lines.line(number)
        try:
            fields = Fields(file, line, lines.record(number))
            pictures, question, steps = read(fields)
            marks = question.count(IMAGE_MARK)
            if marks not in (0, 1, len(pictures)) or (marks and not pictures):
                told = f"has {marks} {IMAGE_MARK} for {len(pictures)} pictures"
                fields.wrong("question", told, "mark all pictures or none")
        except DataError as error:
            yield RatedItem(number, line, fault=str(error.faults[0]))
            continue
        yield RatedItem(number, line, pictures, question, steps)
