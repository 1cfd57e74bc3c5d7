"""A line of a file of responses: an input record with what a model said to it.

`sampled` writes such a record and `read_response` reads it: {"image", "question", "answer"} of the input,
where `question` has become the whole prompt, and "question_orig", "response", "prompt_version".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tessera.records.faults import DataError, Reason, RecordFault
from tessera.runtime.shown import shown
from tessera.scoring.reasoned.extraction import VERSIONS

Key = tuple[tuple[str, ...], str, str]
"""What responses that may be paired share: pictures, prompt, answer of the data set."""


@dataclass(frozen=True)
class SampledResponse:
    """A response of a model, and what it was asked. line: where it stands; record: all that stood there."""

    line: int
    record: Mapping[str, Any]
    pictures: tuple[str, ...]
    prompt: str
    target: str
    text: str
    version: str

    @property
    def key(self) -> Key:
        """The question that it answers."""
        return self.pictures, self.prompt, self.target


def sampled(item: Mapping[str, Any], prompt: str, text: str, version: str) -> dict[str, Any]:
    """The record of a response to `item`, which has `question` and `answer`, in the published form."""
    said = {"question": prompt, "response": text, "prompt_version": version}
    return {**item, "question_orig": item["question"], **said}


def read_response(value: object, file: Path, line: int, version: str | None = None) -> SampledResponse:
    """The response that a parsed line holds. version: for lines that name no prompt_version.

    DataError naming file, line, field, what stands there and the remedy.
    """
    fields = Fields(file, line, value)
    written = fields.value.get("prompt_version", version)
    if written is None:
        fields.wrong("prompt_version", "is missing", "write it, or give --prompt-version for the whole file")
    if written not in VERSIONS:
        fields.wrong("prompt_version", f"is {shown(written)}", f"give one of {', '.join(VERSIONS)}")
    return SampledResponse(
        line,
        fields.value,
        fields.pictures(),
        fields.text("question", "write the prompt that the model was given"),
        fields.target(),
        fields.text("response", "write what the model said, or remove the line", empty=True),
        written,
    )


class Fields:
    """The fields of a line, each told with file, line and remedy when it is not what it should be."""

    def __init__(self, file: Path, line: int, value: object) -> None:
        self.file, self.line = file, line
        if not isinstance(value, dict):
            self.wrong("line", f"is {shown(value)}", "write one JSON object a line")
        self.value: dict[str, Any] = value

    def text(self, name: str, remedy: str, empty: bool = False) -> str:
        """A text, and not an empty one unless that is allowed."""
        value = self.value.get(name)
        if not isinstance(value, str) or not (value.strip() or empty):
            self.wrong(name, self._told(name), remedy)
        return value

    def target(self) -> str:
        """The answer of the data set: a text or a number."""
        value = self.value.get("answer")
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return str(value)
        return self.text("answer", "write the right answer as one text or number")

    def pictures(self) -> tuple[str, ...]:
        """Paths of the pictures, none where there is no picture."""
        value = self.value.get("image") or []
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(path, str) and path for path in listed):
            self.wrong("image", self._told("image"), "write a path, a list of paths, or leave it out")
        return tuple(listed)

    def wrong(self, name: str, detail: str, remedy: str) -> NoReturn:
        """Refuse the line for one of its fields."""
        raise DataError([RecordFault(self.file, self.line, name, Reason.BAD_FIELD, detail, remedy)])

    def _told(self, name: str) -> str:
        return f"is {shown(self.value[name])}" if name in self.value else "is missing"
