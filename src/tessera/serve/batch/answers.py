"""A file of answers in OpenAI's batch form, which outlives interruptions: whole lines, on the disk."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults, sync
from tessera.runtime.shown import shown
from tessera.serve.batch.requests import BatchLine
from tessera.serve.faults import ApiFault, json_bytes
from tessera.serve.http.body import parse

BEGINNING = b'{"id":"batch_req_'
"""Of every line here: what else stands in a file is not ours to repair."""
OTHER = "name another file, or remove this one"


Heard = Callable[[Mapping[str, Any]], object]


class AnswerFile:
    """Answers to `asked` (requests by their custom_id). Those that are there are kept; `done` counts them.

    A last line that was torn by an interruption is cut off. again: errors are taken out, to be asked again.
    heard: told of every further answer, as its line stands in the file.
    Raises ValueError naming the line for a file that holds something else, or answers to other requests; also
    when another process writes it.
    """

    def __init__(
        self, path: Path, asked: Mapping[str, BatchLine], again: bool = False, heard: Heard | None = None
    ) -> None:
        self.path, self.done, self._heard = path, set[str](), heard
        with disk_faults(path), ExitStack() as unless_sound:
            if again:
                unless_sound.callback(os.close, _locked(path))
                _forget_failed(path)
                unless_sound.close()
            self._file = _locked(path)
            unless_sound.callback(os.close, self._file)
            self._size = self._read(asked)
            sync(path.absolute().parent)
            unless_sound.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def add(self, line: BatchLine, status: int, body: Any) -> None:
        """One more answer, on the disk when this returns. A disk that refuses leaves no half of a line."""
        response = {"status_code": status, "request_id": line.id, "body": body}
        told = {"id": line.id, "custom_id": line.custom_id, "response": response, "error": None}
        left = memoryview(json_bytes(told) + b"\n")
        whole = self._size + len(left)
        with disk_faults(self.path):
            try:
                while left:
                    left = left[os.write(self._file, left) :]
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
        self._size = whole
        self.done.add(line.custom_id)
        if self._heard is not None:
            self._heard(told)

    def _read(self, asked: Mapping[str, BatchLine]) -> int:
        """Take in the answers that are there and cut off what was torn; the size of what stays."""
        size = 0
        with self.path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                # After a loss of power a file may end in zeros that were never written.
                torn = raw.rstrip(b"\0")
                if not raw.endswith(b"\n") and (BEGINNING.startswith(torn) or torn.startswith(BEGINNING)):
                    os.ftruncate(self._file, size)
                    return size
                self.done.add(self._kept(number, raw, asked))
                size += len(raw)
        return size

    def _kept(self, number: int, raw: bytes, asked: Mapping[str, BatchLine]) -> str:
        """The custom_id of an answer that is there."""
        where = f"{shown(self.path)} line {number}"
        try:
            told = parse(raw)
        except ApiFault as fault:
            raise ValueError(f"{where} is no answer of a batch; {OTHER}") from fault
        if (line := asked.get(str(told.get("custom_id")))) is None:
            raise ValueError(f"{where}: custom_id {shown(told.get('custom_id'))} was not asked; {OTHER}")
        if told.get("id") != line.id:
            how = "was asked otherwise, of another model or with other defaults"
            raise ValueError(f"{where}: {shown(line.custom_id)} {how}; {OTHER}")
        if line.custom_id in self.done:
            raise ValueError(f"{where}: {shown(line.custom_id)} is answered twice; {OTHER}")
        return line.custom_id


def _locked(path: Path) -> int:
    """The file, open to be read and appended to by this process alone."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise ValueError(
            f"{shown(path)} is being written by another run; wait, or name another file"
        ) from error
    return file


def _forget_failed(path: Path) -> None:
    """Take out the lines whose answer is an error."""
    with path.open("rb") as old, atomic_write(path) as new:
        new.writelines(raw for raw in old if not _failed(raw))


def _failed(raw: bytes) -> bool:
    try:
        response = parse(raw).get("response")
    except ApiFault:  # torn, or told about later
        return False
    return isinstance(response, dict) and response.get("status_code") != 200
