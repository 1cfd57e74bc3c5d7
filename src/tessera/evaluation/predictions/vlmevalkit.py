"""VLMEvalKit's prediction files, `<model>_<dataset>.tsv|json|xlsx`: the data set's columns and `prediction`.

Its pictures are left out. Source: vlmeval/inference.py, smp/file.py (`dump`, `load`) @ e8e78f05.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from tessera.evaluation.rows.open import Items
from tessera.evaluation.rows.row import is_missing, list_in
from tessera.evaluation.rows.table import TableRows
from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown

INDEX, PREDICTION, NAMES = "index", "prediction", "image_path"
UNANSWERED = "Failed to obtain answer via API."
"""What that kit writes where a model didn't answer, and asks again."""
MOST_CHARACTERS = 32_767
"""Of a cell in Excel's files."""
MOST_ROWS = 1_048_576
MOST_BYTES = 2**30
"""Largest JSON file that is read."""
KINDS = ("tsv", "json", "xlsx")
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_NAME = re.compile(r"[^\w.+-]")

KitRow = dict[str, Any]


def kit_file(folder: Path, model: str, dataset: str, kind: str = "xlsx") -> Path:
    """The name that kit looks for; `/` and the like become `_`. ValueError for another kind."""
    if kind not in KINDS:
        raise ValueError(f"prediction file of kind {shown(kind)}; choose from {', '.join(KINDS)}")
    return folder / f"{_NAME.sub('_', model)}_{_NAME.sub('_', dataset)}.{kind}"


def kit_rows(items: Items, predictions: Mapping[str, str], unanswered: str | None = None) -> Iterator[KitRow]:
    """The data set's rows with their predictions, in order.

    unanswered: what stands for a question without one (UNANSWERED is that kit's word); None: ValueError.
    """
    for place in range(len(items)):
        index, row = items.row(place)
        said = predictions.get(index, unanswered)
        if said is None:
            told = f"question {shown(index)} has no prediction"
            raise ValueError(f"{told}; let the run end, or say what stands for such ones")
        yield {**row, PREDICTION: said}


def write_kit_table(file: Path, rows: Iterable[KitRow]) -> None:
    """Write a prediction file; its ending says which kind. It appears whole or not at all.

    ValueError for another ending, for a cell or a number of rows that Excel doesn't hold (nothing is cut),
    and for .xlsx without openpyxl.
    """
    write = _WRITERS.get(file.suffix.lower().lstrip("."))
    if write is None:
        raise ValueError(f"{shown(file)}: prediction files end in {', '.join(KINDS)}")
    with disk_faults(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as stream:
            write(stream, rows)


def read_kit_table(file: Path) -> dict[str, str]:
    """Index → prediction, as text; a prediction that is missing is empty.

    Unlike that kit, which reads `NA` as missing and `007` as 7, texts stay as they stand. ValueError for a
    file of another kind, without these columns, or with an index that stands twice.
    """
    read = _READERS.get(file.suffix.lower().lstrip("."))
    if read is None:
        raise ValueError(
            f"{shown(file)}: predictions are read from {', '.join(KINDS)}; convert it with that kit"
        )
    if not file.is_file():
        raise ValueError(f"no file {shown(file)}; correct the path")
    found: dict[str, str] = {}
    for number, row in enumerate(read(file), 1):
        if lacks := [name for name in (INDEX, PREDICTION) if name not in row]:
            has = shown(", ".join(map(str, row)), bare=True)
            raise ValueError(f"{shown(file)}: row {number}: no column {lacks[0]!r} (it has {has})")
        index = _text(row[INDEX])
        if index in found:
            raise ValueError(
                f"{shown(file)}: row {number}: index {shown(index)} stands twice; keep one of both"
            )
        found[index] = _text(row[PREDICTION])
    if not found:
        raise ValueError(f"{shown(file)}: no rows; is it the right file?")
    return found


def _text(value: Any) -> str:
    """A cell as text: 3.0 is 3, as spreadsheets have no whole numbers; nothing is empty."""
    if is_missing(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def _cell(name: str, value: Any) -> Any:
    """A value as that kit writes it: several names of pictures as a list, one without."""
    if name == NAMES and (names := list_in(value)) is not None:
        return str(names) if len(names) > 1 else names[0]
    return value


def _write_tsv(stream: IO[bytes], rows: Iterable[KitRow]) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="", write_through=True)
    table = csv.writer(text, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
    for number, row in enumerate(rows):
        if number == 0:
            table.writerow(row)
        table.writerow("" if is_missing(v) else str(_cell(name, v)) for name, v in row.items())
    text.detach()


def _write_json(stream: IO[bytes], rows: Iterable[KitRow]) -> None:
    for number, row in enumerate(rows):
        stream.write(b"[\n" if number == 0 else b",\n")
        written = {name: math.nan if is_missing(v) and v != "" else _cell(name, v) for name, v in row.items()}
        text = "    " + json.dumps(written, ensure_ascii=False, indent=4).replace("\n", "\n    ")
        stream.write(text.encode("utf-8", "replace"))
    stream.write(b"\n]")


def _write_xlsx(stream: IO[bytes], rows: Iterable[KitRow]) -> None:
    book = _openpyxl().Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    try:
        for number, row in enumerate(rows, 2):
            if number > MOST_ROWS:
                raise ValueError(f"more than {MOST_ROWS} rows, which Excel's files hold; write .tsv or .json")
            if number == 2:
                sheet.append(list(row))
            sheet.append([_excel(sheet, row, name, value) for name, value in row.items()])
        book.save(stream)
    except ValueError:
        sheet.close()  # its file of its own would be closed with a traceback later
        raise


def _excel(sheet: Any, row: KitRow, name: str, value: Any) -> Any:
    """A cell for Excel: what begins with `=` is no formula. ValueError for what it would cut or lose."""
    value = _cell(name, value)
    if is_missing(value) or isinstance(value, bool | int | float):
        return None if is_missing(value) else value
    text = value if isinstance(value, str) else str(value)
    what = ""
    if len(text) > MOST_CHARACTERS:
        what = f"{len(text)} characters, and Excel's files hold {MOST_CHARACTERS}"
    elif found := _UNWRITABLE.search(text):
        what = f"the character {shown(found[0])}, which Excel's files don't hold"
    if what:
        place = f"index {shown(row.get(INDEX))}: column {shown(name)}"
        raise ValueError(f"{place}: {what}; write .tsv or .json")
    cell = _openpyxl().cell.WriteOnlyCell(sheet)
    cell.value = text if not text.startswith("=") else None
    if text.startswith("="):
        cell._value, cell.data_type = text, "s"
    return cell


def _read_tsv(file: Path) -> Iterator[Mapping[str, Any]]:
    table = TableRows(file, pandas=False)
    return (table.record(number) for number in range(len(table)))


def _read_json(file: Path) -> Iterator[Mapping[str, Any]]:
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{shown(file)}: more than {MOST_BYTES} bytes; write it as .tsv")
    try:
        rows = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{shown(file)}: no JSON in UTF-8 ({shown(error)}); write it again") from error
    if isinstance(rows, dict) and {"columns", "data"} <= rows.keys():
        rows = [dict(zip(rows["columns"], row, strict=False)) for row in rows["data"]]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{shown(file)}: no list of rows; that kit writes an object a row")
    yield from rows


def _read_xlsx(file: Path) -> Iterator[Mapping[str, Any]]:
    openpyxl = _openpyxl()
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except (OSError, ValueError, KeyError, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise ValueError(f"{shown(file)}: no workbook of Excel's ({shown(error)}); write it again") from error
    rows = book.worksheets[0].iter_rows(values_only=True)
    header = next(rows, ())
    for row in rows:
        if any(cell is not None for cell in row):  # a row ends with its last cell that isn't empty
            yield {**dict.fromkeys(header), **dict(zip(header, row, strict=False))}
    book.close()


def _openpyxl() -> Any:
    """openpyxl. ValueError that names the extra when it is not installed."""
    try:
        import openpyxl
        import openpyxl.cell
    except ImportError as error:
        raise ValueError(".xlsx needs openpyxl; install tessera-vl[xlsx], or use .tsv or .json") from error
    return openpyxl


_WRITERS: Mapping[str, Callable[[IO[bytes], Iterable[KitRow]], None]] = {
    "tsv": _write_tsv,
    "json": _write_json,
    "xlsx": _write_xlsx,
}
_READERS: Mapping[str, Callable[[Path], Iterator[Mapping[str, Any]]]] = {
    "tsv": _read_tsv,
    "json": _read_json,
    "xlsx": _read_xlsx,
}
