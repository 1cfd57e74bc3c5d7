"""One row as read: its values by column, and where it stands, so that a fault can name both."""

import ast
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessera.records.files.places import Location
from tessera.runtime.shown import shown

LONGEST_LIST = 2**20
"""Characters of a list that is parsed whole."""
_PLAIN = r"""(?:'([^'\\]*+)'|"([^"\\]*+)")"""
_TEXT = re.compile(_PLAIN)
_SPACED = re.compile(rf"\[\s*+({_PLAIN}(?:\s++{_PLAIN})++)\s*+\]")
"""Texts with nothing but space between, as numpy prints an array; Python would join them."""
_ENTRY = re.compile(rf"\s*+{_PLAIN}\s*+([,\]])")


@dataclass(frozen=True)
class Row:
    """Values by the file's own column names; what is missing is None or not there."""

    file: Location
    line: int
    values: Mapping[str, Any]

    def get(self, *columns: str) -> Any:
        """The first of these columns that has a value; None when none has."""
        return next((v for name in columns if not is_missing(v := self.values.get(name))), None)

    def fault(self, column: str, what: str, remedy: str) -> ValueError:
        """The error for what stands in a column."""
        return ValueError(
            f"{shown(self.file, bare=True)}:{self.line}: column {shown(column)}: {what}; {remedy}"
        )


def is_missing(value: object) -> bool:
    """Whether nothing stands there: null, NaN, or an empty text."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def list_in(value: object) -> list[Any] | None:
    """A list, or the list that a text holds as JSON, Python or numpy writes it; None for anything else.

    Of a text longer than LONGEST_LIST, such as several pictures, the entries must be plain texts in quotes.
    """
    if isinstance(value, list | tuple):
        return list(value)
    text = value.strip() if isinstance(value, str) else ""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    if len(text) > LONGEST_LIST:
        return _quoted(text)
    if spaced := _SPACED.fullmatch(text):
        return [one or two for one, two in _TEXT.findall(spaced[1])]
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        return found if isinstance(found, list) else None
    return None


def _quoted(text: str) -> list[Any] | None:
    """The texts of a list that holds nothing else; a parser would take many times its size."""
    found, at = [], 1
    while match := _ENTRY.match(text, at):
        found.append(match[1] if match[1] is not None else match[2])
        at = match.end()
        if match[3] == "]":
            return found if at == len(text) else None
    return None


def written(value: object) -> str:
    """A value as text: a text as it is, lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def holds_bytes(value: Any) -> bool:
    """Whether a value is a picture in bytes, or a list or an object with one in it."""
    if isinstance(value, list):
        return any(map(holds_bytes, value))
    if isinstance(value, Mapping):
        return any(map(holds_bytes, value.values()))
    return isinstance(value, bytes | bytearray)
