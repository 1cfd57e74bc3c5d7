"""The door of this room: the questions of a form as a sequence that is read as it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tessera.evaluation.benchmarks.benchmark import DataForm
from tessera.evaluation.rows.answers import reference
from tessera.evaluation.rows.files import as_kit, open_files
from tessera.evaluation.rows.item import Item, MediaFile
from tessera.evaluation.rows.joined import Joined
from tessera.evaluation.rows.lookup import Lookup, Place, doubles, write_lookup
from tessera.evaluation.rows.pictures import PATHS, MediaOfRows
from tessera.evaluation.rows.row import Row, holds_bytes, is_missing, written
from tessera.evaluation.rows.store import PictureStore
from tessera.evaluation.rows.table import TableRows
from tessera.imaging.decode import read_size
from tessera.records.files.cache import cached_folder, map_table
from tessera.records.readers.container import Container
from tessera.runtime.shown import counted, shown

MOST_NAMED = 12


def open_items(form: DataForm, root: Path, store: Path) -> Items:
    """The questions of a benchmark in one form.

    root: folder that the form's files are named from. store: where pictures go that stand in the rows, when
    their question is read. ValueError naming file, row, column, value and remedy: here for files, columns,
    filters and indices, on reading for the rest.
    """
    return Items(form, root, store)


class Items(Sequence[Item]):
    """Questions by place, in the order of the files; nothing is kept of those that were read."""

    def __init__(self, form: DataForm, root: Path, store: Path) -> None:
        self._form, self._files = form, open_files(form, root)
        self._named = form.index or _usual_index(self._files[0].rows)
        self._joined = Joined(form.beside, root) if form.beside else None
        self._kit = as_kit(self._files[0].file, form)
        # Only tables name other rows' pictures; elsewhere, or in names of files, a number is a name.
        shared = isinstance(self._files[0].rows, TableRows) and form.named == "{}"
        find = self._find if shared else None
        self._media = MediaOfRows(form, root, PictureStore(store), self._kit, find)
        _ = self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Item]:
        return (self._item(place) for place in range(len(self)))

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        if isinstance(place, slice):
            return [self._item(k) for k in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(f"question {place} of {len(self)}")
        return self._item(place % len(self))

    @property
    def notes(self) -> list[str]:
        """What a reader should know of how the data were read: rows left out, cells that became others."""
        form, gone = self._form, self._facts["without_picture"]
        told = [f"{counted(gone, 'row')} without a picture left out, as that kit does"] if gone else []
        named = {form.question, *form.answer, *form.options, *self._named}
        tables = ((file.file.name, file.rows) for file in self._files if isinstance(file.rows, TableRows))
        return told + [f"{name}: {note}" for name, table in tables for note in table.notes(named)]

    def row(self, place: int) -> tuple[str, dict[str, Any]]:
        """Index of a question, and its columns as the file has them but for pictures: what other tools need.

        Of another file than that kit's, first the columns of that kit: index, question, A, B, … and answer.
        """
        number, row = self._row(place)
        index, whole = self._index(row, number), {**dict.fromkeys(self._facts["columns"]), **row.values}
        own = {k: v for k, v in whole.items() if k not in self._form.image and not holds_bytes(v)}
        if self._kit:
            return index, {"index": index} | own
        known = reference(row, self._form)
        answer = list(known.answers) if len(known.answers) > 1 else next(iter(known.answers), None)
        told = {"index": index, "question": known.question, **known.options, "answer": answer}
        return index, told | {k: v for k, v in own.items() if k not in told}

    def _item(self, place: int) -> Item:
        number, row = self._row(place)
        whole = replace(row, values={**dict.fromkeys(self._facts["columns"]), **row.values})
        media = self._media.of(row)
        told = _with_size(whole, media) if self._form.sized else whole
        known = reference(told, self._form)
        if len(self._form.image) == 1 and media:
            # What the pictures are called: questions about one picture are known by it.
            column = self._form.rename.get(self._form.image[0], self._form.image[0])
            known = replace(known, fields={column: self._media.names(row, media), **known.fields})
        return Item(self._index(row, number), known, media)

    def _row(self, place: int) -> tuple[int, Row]:
        """The row of a question, and its number among all rows, from 1."""
        file, local, number = self._kept[place].tolist()
        return number, self._read((file, local))

    def _read(self, place: Place) -> Row:
        """A row of a file, with what another file has of it."""
        row = self._files[place[0]].row(place[1])
        return row if self._joined is None else self._joined.complete(row)

    def _index(self, row: Row, number: int) -> str:
        if not self._named:
            return str(number)
        for column in self._named:
            if is_missing(row.values.get(column)):
                remedy = "give each row one, or leave 'index' out of the form: rows are counted"
                raise row.fault(column, "no index", remedy)
        return "/".join(written(row.values[column]) for column in self._named)

    def _find(self, index: str) -> Row | None:
        """The row that has an index, whether it is kept or not."""
        rows = map(self._read, self._names.places(index))
        return next((row for row in rows if self._index(row, 0) == index), None)

    @cached_property
    def _folder(self) -> Path:
        stamps = [file.rows.stamp() for file in self._files]
        stamps += [self._joined.stamp()] if self._joined else []
        # pydantic's own JSON refuses file names that are not UTF-8.
        form = json.dumps(self._form.model_dump(), default=str)
        said = sorted(self._form.model_fields_set)
        return cached_folder("questions", f"3 {form} {said} {stamps}", self._build)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """Columns of all rows in order, and how many were left out."""
        facts: dict[str, Any] = json.loads((self._folder / "facts.json").read_bytes())
        return facts

    @cached_property
    def _kept(self) -> NDArray[np.int64]:
        """File, row in it, and number among all rows of every question: int64 [N, 3], memory-mapped."""
        return map_table(self._folder / "kept", 3)

    @cached_property
    def _names(self) -> Lookup:
        """All rows by index, whether they are kept or not; none without an index."""
        return Lookup(self._folder / "names")

    def _declared(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Fields of the form with the columns that they name, of which one at least must be there."""
        form = self._form
        for name in ("question", "answer", "video", "start", "end", "options", "image"):
            value = getattr(form, name)
            if value and name in form.model_fields_set:
                columns = (value,) if isinstance(value, str) else tuple(value)
                yield name, (*columns, PATHS) if name == "image" and self._kit else columns
        for name, each in (("index", self._named), ("where", form.where), ("rename", form.rename)):
            yield from ((name, (column,)) for column in each)

    def _build(self, folder: Path) -> None:
        """Look at all rows once: which are kept, and by what index each is found."""
        seen: dict[str, None] = {}
        found: dict[str, set[str]] = {name: set() for name in self._form.where}
        all_names, kept_names = list[tuple[str, Place]](), list[tuple[str, Place]]()
        gone, number = 0, 0
        with (folder / "kept").open("wb") as kept:
            for number, (place, row) in enumerate(self._rows(), 1):
                seen |= dict.fromkeys(row.values)
                if self._named and not any(is_missing(row.values.get(name)) for name in self._named):
                    all_names.append((self._index(row, number), place))
                if not self._wanted(row, found):
                    continue
                if self._kit and self._form.image and row.get(*self._form.image, PATHS) is None:
                    gone += 1
                    continue
                kept_names.append((self._index(row, number), place))
                np.array([*place, number], np.int64).tofile(kept)
        self._check(seen, number, found, bool(kept_names))
        self._check_once(write_lookup(folder / "names", kept_names))
        write_lookup(folder / "names", all_names)
        facts = {"without_picture": gone, "columns": list(seen)}
        (folder / "facts.json").write_text(json.dumps(facts))

    def _rows(self) -> Iterator[tuple[Place, Row]]:
        """All rows of all files."""
        for at, file in enumerate(self._files):
            for local in range(len(file.rows)):
                yield (at, local), self._read((at, local))

    def _wanted(self, row: Row, found: dict[str, set[str]]) -> bool:
        """Whether a row passes the filters; `found` gathers what stands in their columns."""
        wanted = True
        for name, allowed in self._form.where.items():
            value = row.values.get(name)
            texts = set(map(_said, value if isinstance(value, list) else [value]))
            if len(found[name]) < MOST_NAMED:
                found[name] |= texts
            wanted = wanted and not texts.isdisjoint(map(_said, allowed))
        return wanted

    def _check(self, seen: dict[str, None], rows: int, found: dict[str, set[str]], kept: bool) -> None:
        """ValueError for files without rows, columns that no row has, and filters that leave nothing."""
        files = ", ".join(file.file.name for file in self._files)
        if not rows:
            raise ValueError(f"{shown(files, bare=True)}: no rows; is it the right file?")
        for field, columns in self._declared():
            if not seen.keys() & set(columns):
                told = f"no column {shown(' or '.join(columns))}, which '{field}' of the form names"
                has = shown(", ".join(seen), bare=True)
                raise ValueError(f"{shown(files, bare=True)}: {told}; it has {has}")
        if not kept:
            told = "; ".join(f"{name}: {', '.join(sorted(values))}" for name, values in found.items())
            remedy = f"correct 'where'; there are {shown(told, bare=True)}" if told else "rows need pictures"
            raise ValueError(f"{shown(files, bare=True)}: none of {counted(rows, 'row')} is kept; {remedy}")

    def _check_once(self, names: NDArray[np.int64]) -> None:
        """ValueError for an index that two rows have."""
        for one, two in ((self._read(a), self._read(b)) for a, b in doubles(names)):
            if self._index(one, 0) == self._index(two, 0):
                first = f"{shown(one.file, bare=True)}:{one.line}"
                remedy = "name several columns ('index: [split, id]'), or leave 'index' out: rows are counted"
                what = f"{self._index(two, 0)!r:.80} stands in {first}, too"
                raise two.fault(", ".join(self._named), what, remedy)


def _with_size(row: Row, media: Sequence[MediaFile]) -> Row:
    """The row with `width` and `height` of its first picture, in pixels, in place of any of its own."""
    picture = next((one.path for one in media if one.kind == "image"), None)
    if picture is None:
        return row
    width, height = read_size(picture)
    return replace(row, values={**row.values, "width": width, "height": height})


def _usual_index(rows: Container) -> tuple[str, ...]:
    """What names the rows of a file if the form says nothing."""
    return ("index",) if isinstance(rows, TableRows) and "index" in rows.header else ()


def _said(value: Any) -> str:
    """A value as filters compare it: 1.0 is 1, and all gaps are alike."""
    if is_missing(value):
        return "None"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
