"""Clips that came as bytes lie in a folder of their request: their reader wants files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory


class RequestFiles:
    """A folder that is made with its first file and goes with `close`."""

    def __init__(self) -> None:
        self._folder: TemporaryDirectory[str] | None = None
        self._count = 0

    def write(self, content: bytes) -> Path:
        """A new file that holds these bytes."""
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="tessera-serve-")
        self._count += 1
        path = Path(self._folder.name) / f"clip-{self._count}"
        path.write_bytes(content)
        return path

    def hidden(self, text: str) -> str:
        """A message without the folder's name."""
        return text if self._folder is None else text.replace(f"{self._folder.name}/", "")

    def close(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
