"""A user's values in messages and on terminals: one line, bounded, nothing that a terminal would obey."""

import re
import reprlib
from collections.abc import Iterable
from itertools import islice
from pathlib import PurePath

LONGEST = 160
"""Most characters of a value in a message."""
_LONGEST_TEXT = 80
_LONGEST_BYTES = 20
_MOST_ENTRIES = 6
_DEEPEST = 3
_MOST_BITS = 256
_MARGIN = 400
"""Read beyond the cut, so that a secret that the cut would halve is still known as one."""
# Bounded repetitions, for the text may be hostile.
_SECRET = re.compile(
    r"(://)[^/\s@]{1,400}@|([?&;][\w.-]{0,40}?(?:sig|signature|token|key|secret|password|credential)=)[^&\s'\"]+",
    re.IGNORECASE,
)
_OTHER = reprlib.Repr()
_OTHER.maxother = _LONGEST_TEXT


def shown(value: object, most: int = LONGEST, bare: bool = False) -> str:
    """A value for a message: one line of about `most` characters; a cut text tells its whole size.

    Texts stand in quotes unless `bare`. Paths and errors are bare; both ends of a long path stay.
    """
    if isinstance(value, PurePath):
        text = visible(str(value), keep="")
        return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]}"
    if isinstance(value, BaseException) or (bare and isinstance(value, str)):
        whole = str(value)
        text = visible(whole[: most + _MARGIN], keep="")
        return text if len(text) <= most else f"{text[:most]}… ({len(whole)} characters)"
    text = visible(_told(value, _DEEPEST), keep="")
    return text if len(text) <= most else f"{text[:most]}…"


def visible(text: str, keep: str = "\n") -> str:
    """A text that a terminal shows and never obeys: what is not printable becomes its escape, secrets of
    addresses become stars. Characters in `keep` stay.

    Not printable are control and format characters (bidi overrides, too), separators other than the space,
    halves of surrogate pairs, and what Unicode has not assigned.
    """
    text = _without_secrets(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def counted(count: int, noun: str) -> str:
    """`1 pack`, `2,000 packs`, `3 boxes`."""
    plural = "" if count == 1 else "es" if noun.endswith(("s", "x", "sh", "ch")) else "s"
    return f"{count:,} {noun}{plural}"


def _without_secrets(text: str) -> str:
    if "://" not in text:
        return text
    return _SECRET.sub(lambda found: f"{found[1]}***@" if found[1] else f"{found[2]}***", text)


def _told(value: object, depth: int) -> str:
    """A value as Python writes it, of bounded size."""
    match value:
        case str():
            text = _without_secrets(value[: _LONGEST_TEXT + _MARGIN])
            return _cut(repr(text[:_LONGEST_TEXT]), len(value), "characters")
        case bytes() | bytearray():
            return _cut(repr(bytes(value[:_LONGEST_BYTES])), len(value), "bytes", _LONGEST_BYTES)
        case int() if value.bit_length() > _MOST_BITS:
            return f"an integer of {value.bit_length()} bits"
        case dict() | list() | tuple() | set() | frozenset() if depth == 0 and value:
            return f"{type(value).__name__} of {len(value)}"
        case dict():
            pairs = (f"{_told(k, depth - 1)}: {_told(v, depth - 1)}" for k, v in value.items())
            return f"{{{_few(pairs, len(value))}}}"
        case list():
            return f"[{_few((_told(entry, depth - 1) for entry in value), len(value))}]"
        case tuple():
            return (
                f"({_few((_told(entry, depth - 1) for entry in value), len(value))}{',' * (len(value) == 1)})"
            )
    return _OTHER.repr(value)


def _cut(text: str, size: int, unit: str, most: int = _LONGEST_TEXT) -> str:
    return text if size <= most else f"{text}… ({size} {unit})"


def _few(entries: Iterable[str], count: int) -> str:
    rest = ", …" if count > _MOST_ENTRIES else ""
    return ", ".join(islice(entries, _MOST_ENTRIES)) + (f"{rest} ({count} entries)" if rest else "")
