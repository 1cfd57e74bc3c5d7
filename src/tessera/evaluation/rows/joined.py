"""Rows of another file that complete those of the questions, such as answers kept apart from them."""

from functools import cached_property
from pathlib import Path
from typing import Any

from tessera.evaluation.benchmarks.benchmark import Beside
from tessera.evaluation.rows.files import RowFile, open_rows
from tessera.evaluation.rows.lookup import Lookup, write_lookup
from tessera.evaluation.rows.row import Row, is_missing, written
from tessera.records.files.cache import cached_folder
from tessera.runtime.shown import shown


class Joined:
    """Columns for a row from the file beside, found by equal values of one column."""

    def __init__(self, beside: Beside, root: Path) -> None:
        if len(beside.match) != 1:
            raise ValueError(
                f"beside.match: {shown(beside.match)}; name one column here and the one of equal values there"
            )
        ((self._here, self._there),) = beside.match.items()
        self._beside, self._file = (
            beside,
            RowFile(root / beside.file, open_rows(root / beside.file, beside.records)),
        )

    def stamp(self) -> str:
        """Fingerprint of the file and of what is taken from it."""
        return f"{self._file.rows.stamp()} {self._beside.model_dump_json()}"

    def complete(self, row: Row) -> Row:
        """The row with further columns. ValueError when nothing, or more than one row, belongs to it."""
        key = row.values.get(self._here)
        if is_missing(key):
            raise row.fault(self._here, "missing", f"{self._beside.file} is searched by it")
        found = [self._file.row(local) for _, local in self._lookup.places(written(key))]
        found = [other for other in found if written(other.values.get(self._there)) == written(key)]
        if not found or (len(found) > 1 and not self._beside.many):
            count = "no row" if not found else f"{len(found)} rows"
            remedy = "correct 'beside' of the form" if not found else "set 'many: true' to take them all"
            raise row.fault(
                self._here, f"{count} of {self._beside.file} with {self._there} {shown(key)}", remedy
            )
        return Row(row.file, row.line, {**row.values, **self._taken(found)})

    def _taken(self, found: list[Row]) -> dict[str, Any]:
        columns = {
            name: [other.values.get(column) for other in found] for column, name in self._beside.take.items()
        }
        return columns if self._beside.many else {name: values[0] for name, values in columns.items()}

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(cached_folder("beside", f"1 {self.stamp()}", self._write) / "keys")

    def _write(self, folder: Path) -> None:
        rows = ((self._file.row(local), (0, local)) for local in range(len(self._file.rows)))
        keyed = [
            (written(row.values[self._there]), place) for row, place in rows if self._there in row.values
        ]
        if not keyed:
            told = f"{shown(self._file.file)}: no column {shown(self._there)}"
            raise ValueError(f"{told}, which 'beside' of the form names; correct 'on' or 'records'")
        write_lookup(folder / "keys", keyed)
