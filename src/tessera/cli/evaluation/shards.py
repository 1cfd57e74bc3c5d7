"""A share of the questions: several processes, or endpoints, each ask one; the last one scores all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tessera.chat.batch.lines import BatchReplies, BatchReply
from tessera.evaluation.rows.item import Item
from tessera.runtime.shown import shown


class OthersAtWork(Exception):
    """Other shards are not done."""


@dataclass(frozen=True)
class Shard:
    """The number-th of `count`, from 1: every count-th question."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def read(cls, given: str | None) -> Shard:
        """From K/N; all questions without it. ValueError for what is no such share."""
        if given is None:
            return cls()
        number, _, count = given.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise ValueError(f"--shard {shown(given)}: write K/N, such as 2/4, with K from 1 to N")
        return cls(int(number), int(count))

    def of(self, items: Sequence[Item]) -> Iterator[Item]:
        """Its questions."""
        return (items[place] for place in range(self.number - 1, len(items), self.count))

    def file(self, folder: Path) -> Path:
        """What its requests and answers are named after."""
        return folder / (f"shard_{self.number}_of_{self.count}" if self.count > 1 else "asked")

    def replies(self, folder: Path, stack: ExitStack) -> ShardReplies:
        """The answers of all shards. OthersAtWork where another is not done."""
        shards = [Shard(number, self.count) for number in range(1, self.count + 1)]
        files = [shard.file(folder) for shard in shards]
        if missing := [str(shard) for shard, file in zip(shards, files, strict=True) if not _done(file)]:
            told = f"shard {self} is done; the last of the others scores all: --shard {', '.join(missing)}"
            raise OthersAtWork(told)
        each = [stack.enter_context(BatchReplies(file.with_name(f"{file.name}.answers"))) for file in files]
        return ShardReplies(each)


class ShardReplies:
    """Replies of several files by the names of their requests."""

    def __init__(self, files: Sequence[BatchReplies]) -> None:
        self._files = files

    def __getitem__(self, name: str) -> BatchReply:
        """One of them; that there is none is a fault of it."""
        found = [file[name] for file in self._files if name in file]
        return found[0] if found else self._files[0][name]


def _done(file: Path) -> bool:
    asked, answers = (file.with_name(f"{file.name}.{end}") for end in ("requests", "answers"))
    return answers.is_file() and asked.is_file() and _lines(answers) == _lines(asked)


def _lines(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(1 for _ in stream)
