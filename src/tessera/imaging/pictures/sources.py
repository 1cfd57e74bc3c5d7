"""Whatever somebody gives as a picture: a path, an address, base64 in any spelling, bytes, an open file.

Nothing is fetched: an address of the web is refused, with what to do instead.
"""

import base64
import binascii
import os
import re
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlparse

import PIL.Image

from tessera.runtime.media.streams import all_bytes
from tessera.runtime.shown import shown

Source = str | Path | bytes | PIL.Image.Image
KINDS = "a file, a data: address, bytes, an open file or a PIL picture"
ON_THE_WEB = "is on the web and nothing is fetched behind your back; download it first and name the file"

_WEB = re.compile(r"https?:/", re.IGNORECASE)  # a Path folds two slashes into one
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]+)://", re.IGNORECASE | re.ASCII)
_DATA = re.compile(r"\s*data:([^,]{0,1000}),", re.IGNORECASE)
_SHORTEST = 40  # characters; shorter texts are names
_SPACE = str.maketrans("", "", " \t\r\n\f\v")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
# What files of the known formats begin with.
_MAGIC = re.compile(
    rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|BM.{4}\x00{4}|II\*\x00|MM\x00\*|....ftyp|\x00{3}\x0cjP|\xff\x4f\xff\x51"
    rb"|\x00{2}\x01\x00|qoif",
    re.DOTALL,
)


def picture_source(value: object) -> Path | bytes | PIL.Image.Image:
    """A file, encoded bytes or a picture. ValueError that says what is wrong with it and what to give."""
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, bytes | PIL.Image.Image):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, os.PathLike) and isinstance(path := os.fspath(value), str):
        return _from_text(path)
    if callable(getattr(value, "read", None)):
        return all_bytes(value)
    raise ValueError(f"{_what(value)}; give {KINDS}")


def on_the_web(value: object) -> bool:
    """Whether a value is an http or https address."""
    return isinstance(value, str | os.PathLike) and _WEB.match(str(value)) is not None


def is_address(text: str) -> bool:
    """Whether a text is a picture's address or its base64, and not a path: `data:`, `file:`, `http:`."""
    return bool(_DATA.match(text) or _SCHEME.match(text) or naked_bytes(text))


def inline_bytes(address: str) -> bytes:
    """The bytes of `data:image/png;base64,...`. ValueError when it is no such address."""
    head = _DATA.match(address)
    if head is None:
        raise ValueError(f"{shown(address)} is no data: address; write data:<kind>;base64,<bytes>")
    body = address[head.end() :]
    if head[1].rpartition(";")[2].strip().lower() == "base64":
        try:
            return _decoded(body)
        except ValueError as error:  # binascii.Error is one
            raise ValueError(f"the data: address is not valid base64 ({error})") from error
    if (found := naked_bytes(body)) is None and _MAGIC.match(plain := unquote_to_bytes(body)):
        return plain
    if found is None:
        what = shown(address.partition(",")[0])
        raise ValueError(f"{what} is not base64; write data:<kind>;base64,<bytes>")
    return found


def naked_bytes(text: str) -> bytes | None:
    """The bytes of a text that is base64 of a picture, without `data:...;base64,`; None for another text.

    ValueError for one that begins so and is broken.
    """
    if len(text) < _SHORTEST or not _MAGIC.match(_first_bytes(text)):
        return None
    try:
        return _decoded(text)
    except ValueError as error:
        if len(text) < 1000 and os.path.exists(text):
            return None
        raise ValueError(f"{shown(text)} looks like a picture in base64 but is none ({error})") from error


def _from_text(text: str) -> Path | bytes:
    if not text:
        raise ValueError(f"'' is no picture; give {KINDS}")
    if _DATA.match(text):
        return inline_bytes(text)
    if (found := naked_bytes(text)) is not None:
        return found
    return local_path(text)


def local_path(text: str) -> Path:
    """The file of a path (`~` is the user's folder) or a file: address. ValueError for other addresses."""
    if on_the_web(text):
        raise ValueError(f"{shown(text)} {ON_THE_WEB}")
    if text[:5].lower() == "file:":
        return Path(unquote(urlparse(text).path))
    if scheme := _SCHEME.match(text):
        raise ValueError(f"{shown(text)}: {scheme[1]}: addresses are not opened here; download the file")
    return _at_home(text)


def _at_home(path: str) -> Path:
    """A path whose `~` is the user's folder, unless there is a file of that name."""
    if not path.startswith("~") or os.path.lexists(path):
        return Path(path)
    return Path(os.path.expanduser(path))


def _first_bytes(text: str) -> bytes:
    """What the first characters would be if they were base64; nothing when they can't be."""
    start = text[: 3 * _SHORTEST].lstrip()
    start = (unquote(start) if "%" in start else start).translate(_SPACE)[:24]
    try:
        return base64.urlsafe_b64decode(start.replace("+", "-").replace("/", "_"))
    except ValueError:
        return b""


def _decoded(text: str) -> bytes:
    """Base64 with line breaks, percent signs, `-` and `_`, and with or without its end signs."""
    text = (unquote(text) if "%" in text else text).translate(_SPACE)
    text = text.replace("-", "+").replace("_", "/").rstrip("=")
    if odd := _NOT_BASE64.search(text):
        raise ValueError(f"{shown(odd[0])} at character {odd.start() + 1} is no letter of base64")
    if len(text) % 4 == 1:
        raise ValueError(f"{len(text)} letters are cut off in the middle of a byte")
    return binascii.a2b_base64(text + "=" * (-len(text) % 4))


def _what(value: object) -> str:
    """What is wrong with a value, and what to do where that is known."""
    if hasattr(value, "__array__") or hasattr(value, "numpy"):
        remedy = "make it PIL.Image.fromarray(array) (OpenCV's: array[..., ::-1]); tiles are cut here"
        return f"a {type(value).__name__} does not say what its colours are; {remedy}"
    return f"{shown(value)} is no picture"
