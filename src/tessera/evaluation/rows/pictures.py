"""Pictures and clips of a row as files: those that are named, and those that stand in the row itself."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.evaluation.benchmarks.benchmark import DataForm
from tessera.evaluation.rows.item import MediaFile
from tessera.evaluation.rows.row import Row, is_missing, list_in, written
from tessera.evaluation.rows.store import PictureStore
from tessera.imaging.clips.stills import stills_of
from tessera.imaging.pictures.sources import inline_bytes, naked_bytes
from tessera.records.files.places import OutsideRoot, inside, is_url
from tessera.runtime.shown import shown

LONGEST_INDEX = 64
"""Characters up to which a picture column may hold the index of another row (VLMEvalKit image_base.py)."""
MOST = 1024
"""Most pictures of a row."""
PATHS = "image_path"
"""Column of names beside, or instead of, pictures in base64 (VLMEvalKit)."""
FindRow = Callable[[str], Row | None]


class MediaOfRows:
    """Finds and keeps the media of rows.

    kit: pictures are seen as VLMEvalKit saves them. find: gives the row of an index, where rows may name
    another one's pictures by it; None where they don't.
    """

    def __init__(
        self, form: DataForm, root: Path, store: PictureStore, kit: bool, find: FindRow | None
    ) -> None:
        self._form, self._root, self._store = form, root / form.media, store
        self._kit, self._find = kit, find

    def of(self, row: Row) -> tuple[MediaFile, ...]:
        """Pictures in the order of their columns, then the clip. ValueError naming row, column and remedy."""
        found = []
        for column in self._form.image:
            if not is_missing(value := row.values.get(column)):
                found += self._pictures(row, column, value)
        if not found and self._kit and self._form.image and not is_missing(named := row.values.get(PATHS)):
            found += self._pictures(row, PATHS, named)
        if len(found) > MOST:
            raise row.fault(self._form.image[0], f"{len(found)} pictures", f"{MOST} are read; split the row")
        if self._form.video and not is_missing(value := row.values.get(self._form.video)):
            found.append(self._clip(row, self._form.video, value))
        return tuple(found)

    def names(self, row: Row, media: Sequence[MediaFile]) -> str | list[str]:
        """What a row's pictures are called: as it names them, and by their content where they stand in it."""
        value = row.values.get(self._form.image[0])
        named = list_in(value) or [value]
        files = [file.path for file in media if file.kind == "image"]
        apart = len(named) == len(files) and not any(self._store.holds(file) for file in files)
        texts = [written(name) for name in named] if apart else [file.name for file in files]
        return texts[0] if len(texts) == 1 else texts

    def _pictures(self, row: Row, column: str, value: Any) -> list[MediaFile]:
        owner = self._owner(row, column, value)
        held = owner.values[column]
        entries = listed if (listed := list_in(held)) is not None else [held]
        names = [""] * len(entries) if column == PATHS else self._names(row, len(entries))
        pairs = zip(entries, names, strict=True)
        return [MediaFile(self._picture(owner, column, entry, name)) for entry, name in pairs]

    def _owner(self, row: Row, column: str, value: Any) -> Row:
        """The row in which the pictures of a row stand: itself, or the one whose index it gives."""
        if self._find is None or column == PATHS or not _is_short(value):
            return row
        other = self._find(str(value))
        if other is None or (other.file, other.line) == (row.file, row.line):
            return row
        held = other.values.get(column)
        if is_missing(held) or (_is_short(held) and self._find(str(held)) is not None):
            told = f"row {shown(str(value))} has no picture of its own"
            raise row.fault(column, told, "name a row that has one")
        return other

    def _names(self, row: Row, count: int) -> list[str]:
        """The names under which that kit would save so many pictures; empty where they don't matter."""
        if not self._kit or is_missing(value := row.values.get(PATHS)):
            return [""] * count
        names = [written(name) for name in list_in(value) or [value]]
        if len(names) != count:
            raise row.fault(PATHS, f"{len(names)} names for {count} pictures", "name each of them")
        return names

    def _picture(self, row: Row, column: str, value: Any, name: str) -> Path:
        """The file of one picture, from bytes, base64, a data: address, an object of these, or a name."""
        if isinstance(value, Mapping):
            value = next(
                (value[key] for key in ("bytes", "path", "url") if not is_missing(value.get(key))), None
            )
        try:
            data = bytes(value) if isinstance(value, bytes | bytearray) else _inline(value)
            if data is not None:
                return self._store.keep_encoded(data, name) if name else self._store.keep(data)
        except ValueError as error:
            raise row.fault(column, shown(error), "replace the picture") from error
        return self._file(row, column, value, folders=False)

    def _clip(self, row: Row, column: str, value: Any) -> MediaFile:
        form = self._form
        start, end = (self._second(row, name) if name else None for name in (form.start, form.end))
        path = self._file(row, column, value, folders=True)
        if form.fps and path.is_dir():
            start, end = _shown_at(path, form.fps, start), _shown_at(path, form.fps, end)
        return MediaFile(path, "video", start, end)

    def _second(self, row: Row, column: str) -> float | None:
        value = row.values.get(column)
        if is_missing(value):
            return None
        try:
            second = float(str(value))
        except ValueError:
            second = -1.0
        if not 0 <= second < float("inf"):
            raise row.fault(column, f"{shown(value)} is no second of a clip", "write a number from 0 up")
        return second

    def _file(self, row: Row, column: str, value: Any, folders: bool) -> Path:
        """The file of a name, which must be there and stand below the media folder."""
        found = self._place(row, column, value)
        try:
            there = os.path.isfile(found) or (folders and os.path.isdir(found))
        except ValueError:  # a NUL
            there = False
        if not there:
            remedy = "put it there, or set 'media' of the form"
            raise row.fault(column, f"no file {shown(found)}", remedy)
        return found

    def _place(self, row: Row, column: str, value: Any) -> Path:
        """Where the file of a name would be."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            what = f"{shown(value)} is neither a name nor a picture"
            raise row.fault(column, what, "correct 'image' of the form")
        if isinstance(value, str) and is_url(value) and not value.lower().startswith("file://"):
            remedy = "fetch it and name the file: nothing is fetched here"
            raise row.fault(column, f"{shown(value)} is on the web", remedy)
        root = self._root / self._form.folders.get(str(row.values.get("split")), "")
        try:
            name = self._form.named.format(value, **row.values)
            outside = self._form.paths == "anywhere" and os.path.isabs(name)
            return Path(name) if outside else Path(inside(root, name))
        except OutsideRoot as error:
            raise row.fault(column, str(error), "set 'media' of the form, or 'paths: anywhere'") from error
        except (ValueError, LookupError, AttributeError) as error:
            what = f"{self._form.named!r} takes no {shown(value)}"
            raise row.fault(column, what, "correct 'named' of the form") from error


def _is_short(value: Any) -> bool:
    """Whether a value may be the index of a row."""
    return isinstance(value, str | int) and len(str(value)) <= LONGEST_INDEX


def _shown_at(folder: Path, rate: float, second: float | None) -> float | None:
    """When a frame of a folder is shown, a frame a second: the one whose number is the second times `rate`.

    Numbers begin where the folder's do, as MVBench counts them from 1 (evaluate_mvbench.py, `get_index`).
    """
    if second is None:
        return None
    begin = Path(str((stills_of(folder) or [""])[0])).stem
    first = int(re.split(r"\D", begin, flags=re.ASCII)[-1] or 0)
    return float(max(0, round(second * rate) - first))


def _inline(value: Any) -> bytes | None:
    """The bytes of a picture that a text holds; None for another text. ValueError for a broken one."""
    if not isinstance(value, str):
        return None
    return inline_bytes(value) if value[:5].lower() == "data:" else naked_bytes(value)
