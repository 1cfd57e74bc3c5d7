"""Questions as requests to a model, and its answers as response records (docs/prefer.md).

Requests have the form of OpenAI's batches: whatever answers such a file can answer these, and what was
interrupted goes on at the response where it ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import Field

from tessera.align.preferences.response import Fields, sampled
from tessera.chat.batch.lines import BatchReply, batch_request
from tessera.chat.message import IMAGE_MARK
from tessera.records.faults import DataError, RecordFault
from tessera.records.readers.container import Container
from tessera.records.readers.records import open_container
from tessera.runtime.config import Config
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown

Line = TypeVar("Line")
GO_ON = {"continue_final_message": True, "add_generation_prompt": False}
"""Fields of a request whose last message has begun the answer."""
MOST_TOLD = 3
"""Bad lines that a message names; it counts the others."""
OURS = frozenset(("question_orig", "response", "prompt_version", "sample"))
"""Fields that a response record adds to those of its question."""


class AnswerSampling(Config):
    """How warm a model is asked (docs/facts/preferences.md)."""

    temperature: float = Field(default=1.0, ge=0, le=10, allow_inf_nan=False)
    """the paper's and the documentation's; the published command line has 0.7"""
    top_k: int = Field(default=50, ge=0)
    """0 is off"""
    top_p: float = Field(default=1.0, gt=0, le=1)
    new_tokens: int | None = Field(default=4096, ge=1)
    """of an answer at most; None leaves it to whoever answers"""
    seed: int = 0
    """every response draws with its own seed, which follows from this one and its place"""
    max_tiles: int | None = Field(default=None, ge=1)
    """of a picture; None takes the model's own"""

    def body(self, messages: list[dict[str, Any]], *place: str | int) -> dict[str, Any]:
        """A request for one response. place: what tells it from all others, such as its line and number."""
        sampling = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        own = {
            "seed": derive_seed("response", self.seed, *place) % 2**63,
            "max_tokens": self.new_tokens,
            "max_tiles": self.max_tiles,
        }
        given = {name: value for name, value in own.items() if value is not None}
        return {"messages": messages, **sampling, **given}


class ResponseSampling(AnswerSampling):
    """The same, and how often."""

    responses: int = Field(default=32, ge=1, le=10_000)
    """of every question"""


@dataclass(frozen=True)
class AskedRecord:
    """A record that is asked: where it stands, its fields, and the files of its pictures."""

    line: int
    record: Mapping[str, Any]
    text: str
    images: tuple[str, ...]


class _Lines(ABC, Generic[Line]):
    """Records of a file, each read by `read`. Raises ValueError naming those that can't be: all are looked at
    first.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._records: Container = open_container(file)
        faults = [fault for index in range(len(self)) for fault in self._faults(index)]
        if not len(self):
            raise ValueError(f"{shown(file)}: holds no record; write one a line")
        if faults:
            more = f" (and {len(faults) - MOST_TOLD} more)" if len(faults) > MOST_TOLD else ""
            raise ValueError("; ".join(map(str, faults[:MOST_TOLD])) + more)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Line]:
        return map(self._read, range(len(self)))

    @abstractmethod
    def read(self, fields: Fields) -> Line:
        """One of them. DataError naming file, line, field and remedy."""

    def _read(self, index: int) -> Line:
        return self.read(Fields(self.file, self._records.line(index), self._records.record(index)))

    def _faults(self, index: int) -> tuple[RecordFault, ...]:
        try:
            self._read(index)
        except DataError as error:
            return error.faults
        return ()


class Questions(_Lines[AskedRecord]):
    """Records that ask something: `question`, and `image` with a path or several."""

    def read(self, fields: Fields) -> AskedRecord:
        """A question."""
        if clash := sorted(OURS & set(fields.value)):
            fields.wrong(clash[0], "this is a response already", "ask from the questions")
        text, images = fields.text("question", "write what is asked"), fields.pictures()
        marks = text.count(IMAGE_MARK)
        if marks not in (0, 1, len(images)) or (marks and not images):
            fields.wrong(
                "question", f"{marks} {IMAGE_MARK} for {len(images)} pictures", "mark all of them or none"
            )
        return AskedRecord(fields.line, fields.value, text, images)


@dataclass(frozen=True)
class ContinuedRecord:
    """A response: where it stands, its fields, the prompt and what was said."""

    line: int
    record: Mapping[str, Any]
    prompt: str
    text: str


class Responses(_Lines[ContinuedRecord]):
    """Records as `tessera prefer sample` writes them; their answers need not be known."""

    def read(self, fields: Fields) -> ContinuedRecord:
        """A response."""
        prompt = fields.text("question", "write the prompt that the model was given")
        said = fields.text("response", "write what the model said")
        return ContinuedRecord(fields.line, fields.value, prompt, said)


def user_message(prompt: str, images: tuple[str, ...]) -> dict[str, Any]:
    """A prompt with its pictures where its marks are; all of them at a single mark, or in front of it."""
    if prompt.count(IMAGE_MARK) == 1:
        prompt = prompt.replace(IMAGE_MARK, IMAGE_MARK * len(images))
    shows = [{"type": "image_url", "image_url": {"url": image}} for image in images]
    pieces = prompt.split(IMAGE_MARK) if IMAGE_MARK in prompt else [*[""] * len(shows), prompt]
    content: list[dict[str, Any]] = []
    for number, piece in enumerate(pieces):
        content += [{"type": "text", "text": piece}] if piece else []
        content += shows[number : number + 1]
    return {"role": "user", "content": content}


def requests(
    question: AskedRecord, prompt: str, asking: AnswerSampling, count: int
) -> Iterator[dict[str, Any]]:
    """So many requests of a question, asked with `prompt`; they begin alike: an engine reads that once."""
    message = user_message(prompt, question.images)
    for sample in range(count):
        place = question.line, sample
        yield batch_request(asking.body([message], *place), *place)


def continued(prompt: str, begun: str, line: int, asking: AnswerSampling) -> dict[str, Any]:
    """A request to go on with an answer that has begun, without the pictures (DropoutNTP)."""
    blind = prompt.replace(f"{IMAGE_MARK}\n", "").replace(IMAGE_MARK, "")
    messages = [{"role": "user", "content": blind}, {"role": "assistant", "content": begun}]
    return batch_request(asking.body(messages, line, 0) | GO_ON, line, 0)


def first_words(response: str, share: float) -> str:
    """That share of the words of a response, which stand between spaces, as published; at least one."""
    words = response.split(" ")
    return " ".join(words[: max(1, int(len(words) * share))])


def response_record(
    question: AskedRecord, prompt: str, version: str, sample: int, reply: BatchReply
) -> dict[str, Any]:
    """The question's own fields, and what `tessera prefer score` reads; an end by length is told."""
    ends = {} if reply.finish == "stop" else {"finish_reason": reply.finish}
    return {**sampled(question.record, prompt, reply.text, version), "sample": sample, **ends}
