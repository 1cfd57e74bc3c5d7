"""JSON files of other people: read whole, within bounds, every value by its type.

Whatever is wrong in one ends in a ValueError that names file, key and what stands there.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tessera.runtime.config import Config, first_fault
from tessera.runtime.shown import shown

C = TypeVar("C", bound=Config)
MAX_BYTES = 16 * 1024**2
"""A config is some kilobytes, an index of many shards one or two megabytes."""
REMEDY = "fetch the file again, or mend the value"


def read_object(path: Path, most: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object in a file of at most `most` bytes; ValueError when it is something else."""
    try:
        # One byte more tells a longer file, however long it is.
        with path.open("rb") as stream:
            content = stream.read(most + 1)
        if len(content) > most:
            raise ValueError(f"more than {most / 1024**2:.0f} MiB, which no file of its kind has")
        value = json.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise ValueError(f"{shown(path)} is nested too deeply: fetch it again") from error
    except OSError as error:
        raise ValueError(f"{shown(path)} cannot be read ({shown(error)})") from error
    except ValueError as error:
        raise ValueError(f"{shown(path)} is no JSON ({shown(error)}): fetch it again") from error
    if not isinstance(value, dict):
        raise ValueError(f"{shown(path)} holds a {type(value).__name__}, not a JSON object: fetch it again")
    return value


def deeper_than(value: object, most: int) -> bool:
    """Whether lists and objects stand more than `most` deep in each other; what walks them may recurse."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return any(isinstance(inner, list | dict) for inner in level)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """One JSON object, readable."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Section:
    """An object of a JSON file, read by key and type.

    `where`: file and keys that lead here. Readers without a default raise ValueError for a key that is not
    there; all raise it, naming key and value, for a value of another type.
    """

    where: str
    content: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, most: int = MAX_BYTES) -> "Section":
        """The object in a file."""
        return cls(shown(path), read_object(path, most))

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def without_nulls(self, *keys: str) -> "Section":
        """The same without these keys, or without all, where null says no more than their absence."""
        kept = {k: v for k, v in self.content.items() if v is not None or (keys and k not in keys)}
        return Section(self.where, kept)

    def place(self, key: str) -> str:
        """File and key, for messages."""
        return f"{self.where}{'.' if ': ' in self.where else ': '}{key}"

    def wrong(self, key: str, wanted: str) -> ValueError:
        """What to raise for the value of a key, or for its absence."""
        if key not in self.content:
            return ValueError(f"{self.where}: {key!r} is missing: {wanted}; {REMEDY}")
        return ValueError(f"{self.place(key)} = {_written(self.content.get(key))}: {wanted}; {REMEDY}")

    def section(self, key: str) -> "Section":
        """A nested object, which has to be there."""
        if not isinstance(self._needed(key), dict):
            raise self.wrong(key, "an object is needed here")
        return Section(self.place(key), self.content[key])

    def part(self, key: str) -> "Section":
        """A nested object, an empty one when it is not there."""
        return self.section(key) if key in self else Section(self.place(key))

    def sections(self, key: str) -> "list[Section]":
        """Nested objects in a list or a table, none when it is not there."""
        value = self.content.get(key, [])
        entries = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise self.wrong(key, "objects are needed here")
        return [Section(f"{self.place(key)}.{name}", entry) for name, entry in entries.items()]

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number of 64 bits."""
        value = self._needed(key, default)
        if not _is_number(value) or value != int(value) or abs(value) >= 2**63:
            raise self.wrong(key, "a whole number is needed here")
        return int(value)

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._needed(key, default)
        if not _is_number(value):
            raise self.wrong(key, "a finite number is needed here")
        return float(value)

    def numbers(self, key: str, default: tuple[float, ...] = ()) -> tuple[float, ...]:
        """A list of finite numbers."""
        value = self.content.get(key, list(default))
        if not isinstance(value, list) or not all(map(_is_number, value)):
            raise self.wrong(key, "a list of finite numbers is needed here")
        return tuple(map(float, value))

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false, also as 1 and 0."""
        value = self.content.get(key, default)
        if not isinstance(value, bool) and value not in (0, 1):
            raise self.wrong(key, "true or false is needed here")
        return bool(value)

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        value = self._needed(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, "a text is needed here")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, none when it is not there."""
        value = self.content.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self.wrong(key, "a list of texts is needed here")
        return tuple(value)

    def build(self, made: type[C], keys: Mapping[str, str] | None = None, /, **fields: Any) -> C:
        """Settings made of values read here; a value that they cannot have is told with the file's name, and
        with its key there where `keys` has one for the field."""
        try:
            return made(**fields)
        except ValidationError as error:
            field, equals, rest = first_fault(error).removeprefix("Value error, ").partition(" = ")
            fault = (keys or {}).get(field, field) + equals + rest
            raise ValueError(f"{self.place(fault)}; {REMEDY}") from error

    def _needed(self, key: str, default: Any = None) -> Any:
        if key not in self.content and default is None:
            raise self.wrong(key, "a value is needed here")
        return self.content.get(key, default)


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float can hold; JSON's `NaN`, `Infinity` and 1e999 are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63


def _written(value: Any) -> str:
    """As it stands in the file."""
    return json.dumps(value) if value is None or isinstance(value, bool) else shown(value)
