"""Whatever somebody gives as a sound: a path, a data: or file: address, bytes, an open file.

Nothing is fetched: an address of the web is refused, with what to do instead.
"""

import base64
import binascii
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlparse

from tessera.runtime.media.streams import all_bytes
from tessera.runtime.shown import shown

SoundSource = str | Path | bytes
KINDS = "a file, a data: address, bytes or an open file"
_DATA = re.compile(r"\s*data:([^,]{0,1000}),", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]+):/", re.IGNORECASE | re.ASCII)
_SPACE = str.maketrans("", "", " \t\r\n\f\v")


def sound_source(value: object) -> Path | bytes:
    """A file or encoded bytes. ValueError that says what is wrong with it and what to give."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str | os.PathLike) and isinstance(text := os.fspath(value), str):
        return _from_text(text)
    if callable(getattr(value, "read", None)):
        return all_bytes(value)
    raise ValueError(f"{_what(value)}; give {KINDS}")


def base64_bytes(text: str) -> bytes:
    """The bytes of base64 with or without line breaks and end signs; ValueError when it is none."""
    plain = text.translate(_SPACE).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"{shown(text)} is not valid base64 ({error})") from error


def name_of(source: object) -> str:
    """How messages name a sound: its path, or what kind of value it is."""
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    text = str(source)
    return repr(shown(text[:40], bare=True)) if _DATA.match(text) else repr(shown(text, bare=True))


def _from_text(text: str) -> Path | bytes:
    if not text:
        raise ValueError(f"'' is no sound; give {KINDS}")
    if head := _DATA.match(text):
        if head[1].rpartition(";")[2].strip().lower() != "base64":
            raise ValueError(f"{shown(head[0])} is not base64; write data:<kind>;base64,<bytes>")
        return base64_bytes(text[head.end() :])
    if text[:5].lower() == "file:":
        return Path(unquote(urlparse(text).path))
    if scheme := _SCHEME.match(text):
        what = "is on the web and nothing is fetched behind your back" if scheme[1][:4] == "http" else ""
        raise ValueError(f"{shown(text)} {what or 'is no file'}; download it first and name the file")
    return Path(text if os.path.lexists(text) else os.path.expanduser(text))


def _what(value: object) -> str:
    if hasattr(value, "__array__") or hasattr(value, "numpy"):
        remedy = "write it down with tessera.audio.wav.to_wav(samples, rate)"
        return f"a {type(value).__name__} does not say what its rate is; {remedy}"
    return f"{shown(value)} is no sound"
