"""Messages of a request: what `chat.openai` reads, with media from where this server allows them."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from tessera.audio.sources import SoundSource, sound_source
from tessera.chat.message import ClipSource, Conversation, PictureSource
from tessera.chat.openai import FaultKind, MediumName, MessageReader
from tessera.chat.tool_calls import spelled
from tessera.imaging.pictures.sources import inline_bytes, local_path, on_the_web, picture_source
from tessera.runtime.shown import shown
from tessera.serve.faults import ApiFault, bad_field
from tessera.serve.media.files import RequestFiles
from tessera.serve.media.names import check_names

NO_FOLDER = "files of the server are not opened here; send a data: address (it can start with --media-root)"
NO_WEB = "nothing is fetched from the web here; send a data: address (it can start with --allow-remote)"


class ServedReader(MessageReader):
    """Stops at the first fault. A web address stays one (a text), to be fetched later.

    root: the folder, resolved, below which files may be named; None refuses them. remote: whether web
    addresses may be named. media: most media, frames of lists included. parts: most messages and
    parts of them.
    """

    def __init__(self, files: RequestFiles, root: Path | None, remote: bool, media: int, parts: int) -> None:
        self._files, self._root, self._remote = files, root, remote
        self._most, self._most_parts = media, parts
        self._count = 0

    def conversation(self, messages: Sequence[Any]) -> Conversation:
        """The messages as a value. ApiFault names message and part."""
        content = (entry.get("content") for entry in messages if isinstance(entry, dict))
        parts = len(messages) + sum(len(part) for part in content if isinstance(part, list))
        if parts > self._most_parts:
            message = (
                f"messages: {parts:,} messages and parts are more than {self._most_parts:,} (limits.parts)"
            )
            raise ApiFault(400, message, "too_many_parts", "messages")
        for number, entry in enumerate(messages):
            check_names(f"messages[{number}]", entry)
        read = (self.message(f"messages[{number}]", entry) for number, entry in spelled(messages))
        return Conversation(tuple(message for message in read if message is not None))

    def fault(self, where: str, detail: str, kind: FaultKind = "field") -> NoReturn:
        """Refuse the request."""
        raise bad_field(where, detail)

    def unnamed(self, where: str, medium: MediumName) -> object:
        """There is no way to guess a file here."""
        self.fault(where, "missing; give a data: address")

    def picture(self, where: str, value: object) -> PictureSource:
        """Encoded bytes, a file below the folder, or a web address as it stands."""
        self._counted(where)
        if on_the_web(value):
            return self._web(where, value)
        try:
            source = picture_source(value)
        except ValueError as error:
            self.fault(where, str(error))
        return self._below(where, source) if isinstance(source, Path) else source

    def clip(self, where: str, value: object) -> ClipSource:
        """A file, a folder of frames, pictures in a list, or a web address as it stands."""
        if isinstance(value, list) and value:
            return tuple(self.picture(f"{where}[{number}]", frame) for number, frame in enumerate(value))
        if not isinstance(value, str) or not value:
            self.fault(where, f"{shown(value)} is no address; give a data: address or a list of pictures")
        self._counted(where)
        if on_the_web(value):
            return self._web(where, value)
        try:
            if value.lstrip()[:5].lower() == "data:":
                return self._files.write(inline_bytes(value))
            path = local_path(value)
        except ValueError as error:
            self.fault(where, str(error))
        return self._below(where, path, folders=True)

    def sound(self, where: str, value: object) -> SoundSource:
        """Encoded bytes, a file below the folder, or a web address as it stands."""
        self._counted(where)
        if on_the_web(value):
            return self._web(where, value)
        try:
            source = sound_source(value)
        except ValueError as error:
            self.fault(where, str(error))
        return self._below(where, source) if isinstance(source, Path) else source

    def _counted(self, where: str) -> None:
        self._count += 1
        if self._count > self._most:
            message = f"{where}: more than {self._most} pictures, clips and sounds (limits.media); give fewer"
            raise ApiFault(400, message, "too_many_media", where)

    def _web(self, where: str, value: object) -> str:
        if not self._remote:
            self.fault(where, f"{shown(value)}: {NO_WEB}")
        return str(value)

    def _below(self, where: str, path: Path, folders: bool = False) -> Path:
        """The file behind a name, links resolved; what leads out of the folder is not there."""
        if self._root is None:
            self.fault(where, NO_FOLDER)
        try:
            found = (self._root / path).resolve()
            inside = found.is_relative_to(self._root)
            mode = found.stat().st_mode if inside else 0
        except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is too long or holds \0
            mode = 0
        # Reading a pipe or a device might never end.
        if stat.S_ISREG(mode) or (folders and stat.S_ISDIR(mode) and self._holds_its_files(found)):
            return found
        self.fault(where, f"{shown(path)} is no file below the server's media folder")

    def _holds_its_files(self, folder: Path) -> bool:
        """Whether no link in a folder of frames leads out."""
        assert self._root is not None
        return all(entry.resolve().is_relative_to(self._root) for entry in folder.iterdir())
