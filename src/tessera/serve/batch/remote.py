"""Requests of a file to another server: any that speaks OpenAI's form."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tessera.chat.openai import CLIPS, PICTURES, SOUNDS
from tessera.imaging.clips.container import ClipError
from tessera.imaging.clips.stills import frame_paths
from tessera.runtime.disk import disk_faults
from tessera.runtime.http import Endpoint, RequestError
from tessera.runtime.interrupt import Stop
from tessera.serve.batch.answers import AnswerFile
from tessera.serve.batch.requests import BatchFile, BatchLine
from tessera.serve.batch.runner import BatchCounts, read_request
from tessera.serve.faults import ApiFault

ADDRESSES = ("data:", "http:", "https:")


class RemoteRunner:
    """endpoint: the server. model: for requests that name none. Files below `media_root` are sent as data."""

    def __init__(self, endpoint: Endpoint, model: str, media_root: Path) -> None:
        self._endpoint, self._model, self._root = endpoint, model, media_root.resolve()

    def run(
        self, asked: BatchFile, answers: AnswerFile, told: Callable[[BatchCounts], object], stop: Stop
    ) -> BatchCounts:
        """Answer what has no answer yet, several requests at a time; refusals are answers, too.

        RequestError when the server can't be reached or fails after all tries: what was answered is written,
        and the same call goes on. Once `stop` is asked, nothing begins.
        """
        counts = BatchCounts(len(asked.lines), len(answers.done))
        left = (line for line in asked.lines.values() if line.custom_id not in answers.done)
        going = (line for line in left if not stop.asked)
        for line, status, body in self._endpoint.map(lambda line: self._reply(asked, line), going):
            answers.add(line, status, body)
            counts = counts.plus(status, body)
            told(counts)
        return counts

    def _reply(self, asked: BatchFile, line: BatchLine) -> tuple[BatchLine, int, Any]:
        body: dict[str, Any] = {}
        try:
            url, body = read_request(asked.read(line))
            sent = {"model": self._model, **body}
            if "messages" in sent:
                sent["messages"] = [self._with_files(message) for message in sent["messages"]]
            return line, 200, self._endpoint.post(url, sent)
        except ApiFault as fault:
            return line, fault.status, fault.body
        except RequestError as error:
            ours = error.status in (401, 403) or (error.status == 404 and "model" not in body)
            if ours or not 400 <= error.status < 500:  # a key, a name or a server that fits no request
                raise
            return line, error.status, {"error": {"message": str(error), "type": "invalid_request_error"}}

    def _with_files(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message whose files are `data:` addresses."""
        content = message.get("content")
        if not isinstance(content, list):
            return message
        return message | {"content": [self._with_file(part) for part in content]}

    def _with_file(self, part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        if isinstance(joined := part.get("joined"), list):
            part = part | {"joined": [self._address(str(each)) for each in joined]}
        for name in (*PICTURES, *CLIPS, *SOUNDS):
            named = part.get(name)
            if isinstance(named, str):
                return part | {name: self._address(named)}
            if isinstance(named, dict) and isinstance(named.get("url"), str):
                return part | {name: named | {"url": self._address(named["url"])}}
        return part

    def _address(self, name: str) -> str | list[str]:
        """A file as data; a folder of frames as a list of them, in their order."""
        if name.startswith(ADDRESSES):
            return name
        file = (self._root / name.removeprefix("file://")).resolve()
        if not file.is_relative_to(self._root):
            raise ApiFault(
                400, f"{name!r} lies outside of the media root; name another root", "forbidden_file"
            )
        if file.is_dir():
            try:
                return [self._data(frame, name) for frame in frame_paths(file)]
            except ClipError as error:
                raise ApiFault(400, f"{name!r}: {error}", "unreadable_file") from error
        return self._data(file, name)

    def _data(self, file: Path, name: str) -> str:
        try:
            with disk_faults(file):
                content = base64.b64encode(file.read_bytes()).decode()
        except (OSError, ValueError) as error:
            raise ApiFault(400, f"{name!r}: {error}; correct the path", "unreadable_file") from error
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return f"data:{kind};base64,{content}"
