"""The pictures of a row: a name, base64, a list of them, or the index of an earlier row that has them.

The last is how the evaluation kits' tables say that several questions are about one picture.
"""

import re

from tessera.annotations.formats.rows import IMAGE, FileRow
from tessera.annotations.pictures import Picture, Pictures
from tessera.annotations.rejects import Fault, Rejected

INDEX = ("index", "id")
MOST = 64
"""Most pictures of a row."""
_QUOTED = re.compile(r"""\s*+(?:'([^']*+)'|"([^"]*+)")\s*+(?:,|$)""")


class RowPictures:
    """Pictures of rows that may name those of rows before them."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._known: dict[str, tuple[Picture, ...] | None] = {}

    def of(self, row: FileRow) -> tuple[Picture, ...]:
        """The row's pictures in order. Rejected when one can't be had, or an index means two rows."""
        value = row.get(*IMAGE)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip() in self._known:
            found = self._known[value.strip()]
            if found is None:
                raise Rejected(Fault.BAD_ROW, f"index {value.strip()} stands twice, with different pictures")
        else:
            names = _listed(value)
            if not 1 <= len(names) <= MOST:
                raise Rejected(Fault.BAD_ROW, f"{len(names)} pictures in a row, limit {MOST}")
            found = tuple(map(self._pictures.find, names))
        self._remember(row, found)
        return found

    def _remember(self, row: FileRow, found: tuple[Picture, ...]) -> None:
        """Only rows with pictures of their own are named by others."""
        index = row.get(*INDEX)
        if isinstance(index, str | int) and any(picture.stored for picture in found):
            name = str(index).strip()
            self._known[name] = found if self._known.get(name, found) == found else None


def _listed(value: object) -> list[object]:
    """A list, or the text of one as JSON or Python writes it."""
    if isinstance(value, list):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if not (text.startswith("[") and text.endswith("]")):
        return [value]
    found, at = list[object](), 1
    while match := _QUOTED.match(text, at, len(text) - 1):
        found.append(match[1] if match[1] is not None else match[2])
        at = match.end()
    return found
