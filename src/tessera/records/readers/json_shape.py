"""What a file that is said to hold JSON records holds: told once for the file, before its lines are.

Its first HEAD bytes are looked at. Lines of one object each are read, and one array; all else is named,
with what makes it readable.
"""

import json
import re
import shlex
from enum import Enum
from pathlib import Path

from tessera.records.forms.detect import forms_of
from tessera.records.readers.container import BYTE_ORDER_MARK
from tessera.runtime.shown import shown

HEAD = 1 << 20
"""Bytes at the start of a file that tell what it is."""
LINES = 100
"""Lines that are tried."""
_MAGIC = (
    (b"\x1f\x8b", "gzip data", "unpack it: gunzip"),
    (b"BZh", "bzip2 data", "unpack it: bunzip2"),
    (b"\xfd7zXZ", "xz data", "unpack it: unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd data", "unpack it: unzstd"),
    (b"PK\x03\x04", "a zip archive (or xlsx)", "unpack it, and export tables as JSON lines"),
    (b"PAR1", "parquet", "name it .parquet"),
    (b"ARROW1", "an Arrow file", "write it as parquet or JSON lines"),
    (b"SQLite format 3\0", "an SQLite database", "export its rows as JSON lines"),
    (b"\x89PNG", "a picture", "give the file of records"),
    (b"\xff\xd8\xff", "a picture", "give the file of records"),
    (b"%PDF", "a PDF", "give the file of records"),
)
_AS_UTF8 = "save it as UTF-8: iconv -f {} -t UTF-8"
_MARKS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_INDENTED = ("indented objects", "write each on one line: jq -c .")
_LIST_UNDER = re.compile(r'\{\s*+"([^"\\]{1,200})"\s*+:\s*+\[')


class Shape(Enum):
    """What is read."""

    LINES = "lines"
    ARRAY = "array"


def shape_of(file: Path, name: str) -> Shape:
    """Lines, or one array. ValueError with `name`, what the file is instead, and the remedy."""
    with file.open("rb") as stream:
        head = stream.read(HEAD)
    complete = len(head) < HEAD
    if found := _not_text(head):
        raise refused(name, *found)
    head = head.removeprefix(BYTE_ORDER_MARK)
    first = head.lstrip()[:1]
    if first == b"[":
        return Shape.ARRAY
    if found := _not_lines(head, first, complete):
        raise refused(name, *found)
    return Shape.LINES


def wrapped(record: object) -> tuple[str, str] | None:
    """What an object that is no record is instead, when it is all that a file holds, and the remedy."""
    if not isinstance(record, dict) or forms_of(record):
        return None
    if {"images", "annotations"} <= record.keys():
        return "COCO annotations", "make records of them with tessera data build"
    if any(isinstance(value, dict) and "annotation" in value for value in record.values()):
        return "a manifest", "give it as the manifest itself"
    for key, value in record.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return _list_under(str(key))
    if record and all(isinstance(value, dict) for value in record.values()):
        return "one object with the records by name", "give an array of them: jq '[.[]]'"
    return None


def refused(name: str, what: str, remedy: str) -> ValueError:
    """The error for the whole file."""
    return ValueError(f"{name}: holds {what}; {remedy}")


def _not_text(head: bytes) -> tuple[str, str] | None:
    """What the first bytes say when they are no text in UTF-8."""
    for magic, what, remedy in _MAGIC:
        if head.startswith(magic):
            return what, remedy
    if head[257:262] == b"ustar":
        return "a tar archive", "name it .tar"
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return f"{encoding} text", _AS_UTF8.format(encoding)
    some = head[:4096]
    if some and not some.strip(b"\0"):
        return "NUL bytes", "fetch it again: it was not written to its end"
    if some.count(b"\0") * 4 > len(some):
        # Every other byte of Latin letters is NUL; which ones tells the order of bytes.
        encoding = "UTF-16LE" if some[1::2].count(b"\0") > some[::2].count(b"\0") else "UTF-16BE"
        encoding = encoding if some.count(b"\0") * 8 < len(some) * 5 else "UTF-32"
        return f"{encoding} text", _AS_UTF8.format(encoding)
    return None


def _not_lines(head: bytes, first: bytes, complete: bool) -> tuple[str, str] | None:
    """What a text is that does not hold an object a line; None when a line does, or there is only one."""
    if b"\n" not in head and b"}\r" in head.rstrip():
        return "lines that end in CR alone", "let them end in LF: tr '\\r' '\\n'"
    lines = [line for line in head.split(b"\n") if line.strip()]
    if not complete and lines:
        lines.pop()
    if len(lines) > 1 and (foreign := _foreign_encoding(lines[:LINES])):
        return foreign
    # Of indented objects, lines that are whole objects only stand inside.
    tried = [*lines[:1], *(line for line in lines[1:LINES] if line.startswith(b"{"))]
    if not first or any(_is_object(line) for line in tried):
        return None
    if first != b"{":
        return _other_text(lines[0] if lines else head)
    return _indented(head, complete) if len(lines) > 1 else None


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _foreign_encoding(lines: list[bytes]) -> tuple[str, str] | None:
    """Two lines and more that are not UTF-8, half of all, and none that is more than ASCII and UTF-8."""
    beyond = [line for line in lines if not line.isascii()]
    for line in beyond:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            continue
        return None
    if len(beyond) < 2 or 2 * len(beyond) < len(lines):
        return None
    return "text in another encoding than UTF-8", _AS_UTF8.format("its encoding, perhaps WINDOWS-1252,")


def _other_text(line: bytes) -> tuple[str, str]:
    """A text that begins with no bracket."""
    begin = shown(line[:40].decode("utf-8", "replace"))
    for sign, kind in ((b"\t", "TSV"), (b",", "CSV")):
        if sign in line and not line.lstrip().startswith((b'"{', b"'")):
            return f"a {kind} table ({begin})", "make records of it with tessera data build"
    return f"no JSON objects (it begins with {begin})", "give an array of records, or one object a line"


def _indented(head: bytes, complete: bool) -> tuple[str, str]:
    """Objects over several lines, or nothing whole at all."""
    text = head.decode("utf-8", "ignore").lstrip()
    try:
        return wrapped(json.JSONDecoder().raw_decode(text)[0]) or _INDENTED
    except (ValueError, RecursionError) as error:
        # Of a large file the head only has the beginning.
        if not complete and (begin := _LIST_UNDER.match(text)):
            return _list_under(begin[1])
        return f"no whole object in its first lines ({shown(error)})", "write one complete object a line"


def _list_under(key: str) -> tuple[str, str]:
    command = f"jq {shlex.quote(f'.[{json.dumps(key)}]')}"
    return f"an object with a list under {shown(key)}", f"give that list: {command}"
