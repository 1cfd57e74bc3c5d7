"""Every form of every benchmark that ships is read from one row with the columns that it names."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from tessera.evaluation.benchmarks.benchmark import DataForm
from tessera.evaluation.benchmarks.catalogue import all_benchmarks
from tessera.evaluation.rows.open import open_items

RED = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
FORMS = [(one.name, form) for one in all_benchmarks().values() for form in one.data]


def _set(row: dict[str, Any], name: str, value: Any) -> None:
    """A value at a column, or deep in objects and lists at a name with dots."""
    first, *rest = name.split(".")
    if not rest:
        row[first] = value
    elif rest[0].isdigit():
        listed = row.setdefault(first, [])
        listed.append({})
        _set(listed[int(rest[0])], ".".join(rest[1:]), value)
    else:
        _set(row.setdefault(first, {}), ".".join(rest), value)


def row_of(form: DataForm, parquet: bool, table: bool) -> dict[str, Any]:
    """Columns with what could stand there."""
    row: dict[str, Any] = {}
    for name in form.rename:
        row[name] = "r"
    for name, allowed in form.where.items():
        row[name] = allowed[0]
    for name in form.index or ():
        row[name] = "7" if table else "i7"
    if form.question:
        _set(row, form.question, "What is it?")
    right = {"index": 1, "number": 2, "option": "two", "letter": "B"}.get(form.answer_is, "two")
    _set(row, form.answer[0], right)
    named = base64.b64encode(RED).decode() if table else "p.png"
    picture = {"bytes": RED, "path": None} if parquet else named
    for name in form.image:
        _set(row, name, picture)
    if len(form.options) == 1:
        row[form.options[0]] = ["one", "two"] if not table else "['one', 'two']"
    elif form.options:
        row.update(zip(form.options, ("one", "two"), strict=False))
    if form.video:
        row |= {form.video: "c.mp4", **{name: 1.5 for name in (form.start, form.end) if name}}
    if form.columns:
        row["split"] = "x"  # what the file is called
    for name in filter(None, (part[1] for part in Formatter().parse(form.named))):
        row.setdefault(name, "f")
    return row


def write(file: Path, form: DataForm, row: dict[str, Any]) -> None:
    """A file with this row alone, in the form that its ending says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    ending = file.suffix
    if ending == ".parquet":
        pyarrow = pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist([row]), file)
    elif ending in (".tsv", ".csv"):
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, row.keys(), delimiter="\t" if ending == ".tsv" else ",")
            writer.writeheader()
            writer.writerow(row)
    elif ending == ".txt":
        file.write_text("\t".join(str(row[name]) for name in form.columns) + "\n")
    elif ending == ".json":
        found: Any = [row]
        for key in reversed((form.records or "").split(".") if form.records else []):
            found = {key: found}
        file.write_text(json.dumps(found))
    else:
        file.write_text(json.dumps(row) + "\n")


@pytest.mark.parametrize(("name", "which"), FORMS, ids=["-".join(pair) for pair in FORMS])
def test_a_row_with_the_named_columns_is_read(name: str, which: str, tmp_path: Path) -> None:
    form = all_benchmarks()[name].data[which]
    first = form.file[0].rpartition("=")[2].replace("*", "x")
    row = row_of(form, first.endswith(".parquet"), first.endswith((".tsv", ".csv")))
    if form.beside is not None:
        ((here, there),) = form.beside.match.items()
        row.setdefault(here, "i7")
        taken = {there: row[here]} | {column: row.pop(new, "two") for column, new in form.beside.take.items()}
        taken = {column: "p.png" if isinstance(value, dict) else value for column, value in taken.items()}
        form = form.model_copy(update={"beside": form.beside.model_copy(update={"file": "beside.json"})})
        write(tmp_path / "beside.json", DataForm(file="x", records=form.beside.records), taken)
    for entry in form.file:
        write(tmp_path / entry.rpartition("=")[2].replace("*", "x"), form, row)
    (tmp_path / form.media).mkdir(parents=True, exist_ok=True)
    for folder in {"", *form.folders.values()}:
        place = tmp_path / form.media / folder
        for value in ("p.png", "c.mp4"):
            file = place / form.named.format(value, **row)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(RED)
    items = open_items(form, tmp_path, tmp_path / "kept")
    assert len(items) == len(form.file)
    item = items[0]
    assert item.reference.question == ("What is it?" if form.question else "")
    assert item.reference.answers == (("two",) if form.answer_is == "text" else ("B",))
    assert list(item.reference.options.values()) == (["one", "two"] if form.options else [])
    assert [media.kind for media in item.media] == ["image"] * len(form.image) + ["video"] * bool(form.video)
    assert set(form.rename.values()) <= set(item.reference.fields)
