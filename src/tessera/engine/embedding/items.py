"""What is searched: pictures and clips of a folder, or texts of a file; sizes and dates tell what changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tessera.engine.embedding.lines import lines_of
from tessera.runtime.shown import shown

PICTURES = frozenset(
    (*(".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".ico"),)
    + (*(".tga", ".jp2", ".avif", ".qoi"),)
)
CLIPS = frozenset((".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg"))
Kind = Literal["picture", "clip", "text"]
CAPTION_KEYS = ("caption", "text")
MOST_LINE = 2**20
"""Characters of a line of captions."""


@dataclass(frozen=True)
class IndexedItem:
    """One thing that can be found: a file by its path below the folder, or a text."""

    kind: Kind
    name: str
    """Path below the folder with "/" between its parts, or the text."""
    size: int = 0
    modified_ns: int = 0


def items_of(place: Path) -> tuple[IndexedItem, ...]:
    """Everything below a folder that is a picture or a clip, by path; or every caption of a JSONL file.

    Hidden files and folders are left out. Raises ValueError when nothing is there.
    """
    if place.is_dir():
        found = tuple(_files(place))
        wanted = "no picture and no clip below it"
    elif place.suffix.lower() in (".jsonl", ".txt"):
        found = tuple(_texts(place))
        wanted = 'no text; a line is {"caption": ...} in JSONL, or the text itself in .txt'
    else:
        raise ValueError(f"{shown(place)}: give a folder of pictures, or captions as .jsonl or .txt")
    if not found:
        raise ValueError(f"{shown(place)}: {wanted}")
    return found


def _files(folder: Path) -> Iterator[IndexedItem]:
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in PICTURES | CLIPS)
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in paths):
        if path.is_file() and not any(part.startswith(".") for part in Path(name).parts):
            facts = path.stat()
            kind: Kind = "clip" if path.suffix.lower() in CLIPS else "picture"
            yield IndexedItem(kind, name, facts.st_size, facts.st_mtime_ns)


def _texts(file: Path) -> Iterator[IndexedItem]:
    """Captions in order, each once."""
    seen: set[str] = set()
    for number, line in enumerate(lines_of(file), 1):
        for text in _captions(file, number, line) if line.strip() else ():
            if text not in seen:
                seen.add(text)
                yield IndexedItem("text", text)


def _captions(file: Path, number: int, line: str) -> list[str]:
    """The texts of one line."""
    where = f"{shown(file)} line {number}"
    if len(line) > MOST_LINE:
        raise ValueError(f"{where}: {len(line):,} characters; a caption has fewer than {MOST_LINE:,}")
    if file.suffix.lower() == ".txt":
        return [line.strip()]
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is no JSON ({shown(error)})") from error
    given = next((record[key] for key in CAPTION_KEYS if isinstance(record, dict) and key in record), None)
    texts: list[str] = []
    for text in given if isinstance(given, list) else [given]:
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{where}: caption = {shown(text)}; give a text, or a list of texts")
        texts.append(text)
    return texts
