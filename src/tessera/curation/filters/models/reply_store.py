"""Replies kept on disk by a hash of model and prompt: a run that was killed asks only what is missing."""

import hashlib
import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tessera.curation.filters.config import JudgeModelConfig
from tessera.curation.filters.models.scorer import RecordScorer, Reply
from tessera.runtime.shown import shown

Item = TypeVar("Item")


class ReplyStore:
    """A SQLite file of replies, for several threads; each reply is on disk when `put` returns."""

    def __init__(self, file: Path) -> None:
        self._lock, self._file = threading.Lock(), file
        with self._told():
            self._base = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS replies"
                " (key BLOB PRIMARY KEY, text TEXT, prompt_tokens INTEGER, answer_tokens INTEGER)"
                " WITHOUT ROWID"
            )
            if (problem := self._base.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
                raise sqlite3.DatabaseError(shown(problem))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """ValueError for a file that is damaged or can't be written."""
        try:
            yield
        except sqlite3.Error as error:
            remedy = "make room, or remove the file: it only holds replies that can be asked again"
            raise ValueError(f"{shown(self._file)}: {error}; {remedy}") from error

    def get(self, model: str, prompt: str) -> Reply | None:
        """The reply of a model to a prompt, if it is known."""
        query = "SELECT text, prompt_tokens, answer_tokens FROM replies WHERE key = ?"
        with self._lock, self._told():
            row = self._base.execute(query, (_key(model, prompt),)).fetchone()
        return None if row is None else Reply(*row)

    def put(self, model: str, prompt: str, reply: Reply) -> None:
        """Keep a reply."""
        values = (_key(model, prompt), reply.text, reply.prompt_tokens, reply.answer_tokens)
        with self._lock, self._told():
            self._base.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", values)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()


def _key(model: str, prompt: str) -> bytes:
    return hashlib.blake2b(f"{model}\x00{prompt}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


COUNTED = ("asked", "from_store", "failed", "prompt_tokens", "answer_tokens")
"""Prompts sent to the model, answered from the store, without an answer; tokens of both ways."""


@dataclass
class Asking:
    """Prompts of items answered from the store or by the scorer, with the bill."""

    scorer: RecordScorer
    store: ReplyStore
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(COUNTED, 0)))

    def ask(
        self, items: Iterable[Item], prompt_of: Callable[[Item], str | None]
    ) -> Iterator[tuple[Item, Reply | None]]:
        """Every item with the reply to its prompt, in order; None where `prompt_of` gives None."""
        waiting: deque[tuple[Item, Reply | None]] = deque()

        def missing() -> Iterator[str | None]:
            for item in items:
                prompt = prompt_of(item)
                known = None if prompt is None else self.store.get(self.scorer.name, prompt)
                self.counts["from_store"] += known is not None
                waiting.append((item, known))
                yield prompt if known is None else None

        for reply in self.scorer.replies(missing(), partial(self.store.put, self.scorer.name)):
            item, known = waiting.popleft()
            if reply is not None:
                told = (1, 0, reply.error is not None, reply.prompt_tokens, reply.answer_tokens)
                self.counts.update(dict(zip(COUNTED, told, strict=True)))
            yield item, known if reply is None else reply

    def bill(self, prices: JudgeModelConfig) -> dict[str, Any]:
        """What was asked and what it cost."""
        counts = self.counts
        cost = counts["prompt_tokens"] * prices.prompt_price + counts["answer_tokens"] * prices.answer_price
        return {"name": self.scorer.name, **counts, "cost": round(cost / 1e6, 6)}
