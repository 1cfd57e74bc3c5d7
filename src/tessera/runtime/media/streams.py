"""Open files that people give in place of a path."""

from typing import Any


def all_bytes(stream: Any) -> bytes:
    """All bytes of an open file, from its begin where it can go there; it stays open. ValueError for text."""
    if stream.seekable():
        stream.seek(0)
    data = stream.read()
    if not isinstance(data, bytes | bytearray):
        raise ValueError("the open file gives text; open it in binary mode, open(path, 'rb')")
    return bytes(data)
