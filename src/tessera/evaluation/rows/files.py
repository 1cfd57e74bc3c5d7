"""The files of a form as containers of rows, each with the word that its rows have in the column `split`."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.evaluation.benchmarks.benchmark import DataForm
from tessera.evaluation.rows.arrow_rows import ArrowRows
from tessera.evaluation.rows.row import Row
from tessera.evaluation.rows.table import DELIMITERS, TableRows
from tessera.records.files.cache import cached_folder
from tessera.records.files.remote import stamp
from tessera.records.files.shards import expand
from tessera.records.readers.container import Container
from tessera.records.readers.json_file import JsonFile
from tessera.records.readers.parquet import ParquetRows
from tessera.runtime.json_file import deeper_than
from tessera.runtime.shown import shown

_COLUMNS = {".parquet": ParquetRows, ".arrow": ArrowRows}
_IN_FOLDERS = ({".arrow"}, {".parquet", ".json", ".jsonl"})
"""Endings of the files that a folder stands for: Arrow's are described by others that are JSON."""
ENDINGS = (*DELIMITERS, ".jsonl", ".json", *_COLUMNS)
MOST_BYTES = 2**30
"""Largest JSON file that is one object: it is read whole, once."""
DEEPEST = 64
KEY = "key"
"""Column that names the rows of an object of objects."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")


class RowLines(JsonFile):
    """A file of rows: a lone one may hold lists of objects, which a lone record may not."""

    def _check_single(self, table: Path) -> None:
        pass


@dataclass(frozen=True)
class RowFile:
    """Rows of one file. split: what all of them are, as the form (`named`) or the file's name says.

    deep: names with dots, each of which becomes a column of what stands so deep in objects and lists.
    """

    file: Path
    rows: Container
    split: str | None = None
    named: bool = False
    deep: tuple[str, ...] = ()

    def row(self, number: int) -> Row:
        """A row, with `split` as a column. ValueError for what is no object."""
        found, line = self.rows.record(number), self.rows.line(number)
        if not isinstance(found, dict):
            raise ValueError(f"{shown(self.file)}:{line}: {shown(found)} is no row; write an object a row")
        told = {} if self.split is None else {"split": self.split}
        found = {name: _below(found, name) for name in self.deep} | found
        return Row(self.file, line, found | told if self.named else told | found)


def _below(value: Any, name: str) -> Any:
    """What stands at the end of `input.images.0`; None where nothing does."""
    for part in name.split("."):
        if isinstance(value, list) and part.isdigit():
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def open_files(form: DataForm, root: Path) -> list[RowFile]:
    """Files in order. ValueError for what is missing, or of another kind."""
    found = []
    columns = (*(form.index or ()), form.question, *form.answer, *form.image, *form.options, form.video or "")
    deep = tuple(name for name in columns if "." in name)
    for entry in form.file:
        split, equals, pattern = entry.partition("=")
        if not equals or (root / entry).exists():
            split, pattern = "", entry
        files = _paths(root / pattern)
        several = files[0].parent == root / pattern or any(sign in pattern for sign in "*{")
        for file in files:
            told = split or (split_of(file) if several else None)
            rows = open_rows(file, form.records, as_kit(file, form), form.columns)
            found.append(RowFile(file, rows, told, bool(split), deep))
    return found


def as_kit(file: Path, form: DataForm) -> bool:
    """Whether a file is read as VLMEvalKit does."""
    return (form.rules or ("vlmevalkit" if file.suffix.lower() == ".tsv" else "own")) == "vlmevalkit"


def split_of(file: Path) -> str:
    """What a file's name says of its rows: `val-00000-of-00002.parquet` is val."""
    return _SHARD.sub("", file.stem)


def _paths(place: Path) -> list[Path]:
    """The files that a name stands for: itself, those of a folder or a pattern, or the kit's own copy."""
    local = place.with_name(f"{place.stem}_local{place.suffix}")
    if not place.exists() and local.is_file():
        return [local]
    if place.is_dir():
        there = sorted(file for file in place.iterdir() if file.is_file())
        kinds = ([file for file in there if file.suffix.lower() in endings] for endings in _IN_FOLDERS)
        if (files := next(filter(None, kinds), None)) is None:
            raise ValueError(
                f"{shown(place)}: a folder without .parquet, .arrow or .json files; name the files"
            )
        return files
    return [Path(file) for file in expand(place)]


def open_rows(file: Path, records: str | None, pandas: bool = False, header: Sequence[str] = ()) -> Container:
    """The rows of one file. pandas, header: of a table, columns as pandas types them, and their names."""
    if not file.is_file():
        raise ValueError(f"no file {shown(file)}; put it there, or correct 'file' of the form")
    ending = file.suffix.lower()
    if records and ending != ".json":
        raise ValueError(f"{shown(file)}: 'records' is for an object in .json; leave it out of the form")
    if ending in DELIMITERS and (header or ending != ".txt"):
        return TableRows(file, pandas, header)
    if ending in _COLUMNS:
        return _COLUMNS[ending](file)
    if ending == ".json" and (records or _is_object(file)):
        return RowLines(_lines_of(file, records))
    if ending in (".json", ".jsonl"):
        return RowLines(file)
    raise ValueError(f"{shown(file)}: rows are read from {', '.join(ENDINGS)}; write one of these")


def _is_object(file: Path) -> bool:
    """Whether a .json file is one object, and not an array or an object a line."""
    with file.open("rb") as stream:
        line = next((line for line in stream if line.strip()), b"").strip()
        if not line.removeprefix(b"\xef\xbb\xbf").startswith(b"{"):
            return False
        try:
            json.loads(line)
        except ValueError:
            return True
        return not any(line.strip() for line in stream)


def _lines_of(file: Path, records: str | None) -> Path:
    """A file with the rows of an object, one a line, kept in the cache."""

    def write(folder: Path) -> None:
        rows = _rows(file, records)
        with (folder / "rows.jsonl").open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)

    return cached_folder("rows", f"1 {stamp(file)} {records}", write) / "rows.jsonl"


def _rows(file: Path, records: str | None) -> list[Any]:
    """The objects under a key; those of an object of objects get its key as a column."""
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(
            f"{shown(file)}: one object of more than {MOST_BYTES} bytes; write a row a line (.jsonl)"
        )
    try:
        value = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{shown(file)}: no JSON in UTF-8 ({shown(error)}); fetch it again") from error
    for key in records.split(".") if records else ():
        if not isinstance(value, dict) or key not in value:
            has = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
            raise ValueError(f"{shown(file)}: no {key!r} (it has {shown(has, bare=True)}); correct 'records'")
        value = value[key]
    if deeper_than(value, DEEPEST):
        raise ValueError(f"{shown(file)}: nested more than {DEEPEST} deep; write it flat")
    if isinstance(value, dict) and value and all(isinstance(entry, dict) for entry in value.values()):
        return [{KEY: key, **entry} for key, entry in value.items()]
    if isinstance(value, list):
        return value
    lists = (
        [key for key, entry in value.items() if isinstance(entry, list)] if isinstance(value, dict) else []
    )
    remedy = f"set 'records' to one of {', '.join(lists)}" if lists else "give a list of objects"
    raise ValueError(f"{shown(file)}: no list of rows; {shown(remedy, bare=True)}")
