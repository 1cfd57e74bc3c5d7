"""A file of requests in OpenAI's batch form: `{"custom_id", "method", "url", "body"}`, one a line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown
from tessera.serve.faults import ApiFault
from tessera.serve.http.body import parse

MOST_TOLD = 3
"""Bad lines that a message names; it counts the others."""


@dataclass(frozen=True)
class BatchLine:
    """Where a request stands. `id` is made of its bytes, and of what else its answer depends on."""

    number: int
    custom_id: str
    id: str
    offset: int
    size: int


class BatchFile:
    """The requests of a file. They stay on the disk until each is answered.

    asked_of: what else an answer depends on, such as the model's name. Raises ValueError with line numbers
    where answers could not be told apart: no `custom_id`, or that of another line.
    """

    def __init__(self, path: Path, asked_of: str) -> None:
        self.path, self._asked_of = path, asked_of
        faults: list[str] = []
        found: dict[str, BatchLine] = {}
        for number, offset, raw in self._raw_lines():
            try:
                line = BatchLine(number, _custom_id(raw), self._id(raw), offset, len(raw))
                if (first := found.setdefault(line.custom_id, line)) is not line:
                    told = shown(line.custom_id)
                    raise ValueError(f"custom_id {told} is that of line {first.number}, too; change one")
            except ValueError as error:
                faults.append(f"line {number}: {error}")
        if faults:
            more = f" (and {len(faults) - MOST_TOLD} more)" if len(faults) > MOST_TOLD else ""
            raise ValueError(f"{shown(path)}: {'; '.join(faults[:MOST_TOLD])}{more}")
        if not found:
            raise ValueError(f"{shown(path)}: holds no request; write one a line")
        self.lines = found

    def read(self, line: BatchLine) -> dict[str, Any]:
        """A request. ValueError when the file is no longer what it was."""
        with disk_faults(self.path), self.path.open("rb") as stream:
            stream.seek(line.offset)
            raw = stream.read(line.size)
        if self._id(raw) != line.id:
            raise ValueError(f"{shown(self.path)} has changed meanwhile; start again")
        return parse(raw)

    def _raw_lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Number, offset and bytes of every line that is not blank."""
        offset = 0
        with disk_faults(self.path), self.path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                if stripped := raw.strip():
                    yield number, offset + raw.index(stripped), stripped
                offset += len(raw)

    def _id(self, raw: bytes) -> str:
        digest = hashlib.sha256(self._asked_of.encode() + b"\0" + raw).hexdigest()
        return f"batch_req_{digest[:32]}"


def _custom_id(raw: bytes) -> str:
    """ValueError for a line that has none."""
    try:
        given = parse(raw).get("custom_id")
    except ApiFault as fault:
        raise ValueError(fault.message.replace("the body is", "this is")) from fault
    if not isinstance(given, str) or not given:
        raise ValueError(f"custom_id = {shown(given)}: give a text, another one for every line")
    return given
