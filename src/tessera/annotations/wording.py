r"""Phrasings from plain text files: `[section]` lines, then one phrasing a line, with slots in braces.

`\n` is a line break, `{{` and `}}` are braces, lines that start with `#` are remarks. A file of one's own
replaces the sections it has. Every slot is checked when a file is read, so nothing fails in mid-build.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

LANGUAGES = ("en", "zh")
Phrasings = dict[str, tuple[str, ...]]
"""Section → phrasings."""


@dataclass(frozen=True)
class Slots:
    """Slots of a section, by spaces; without the needed ones the question would have no answer."""

    needed: str = ""
    allowed: str = ""


OBJECTS: Mapping[str, Slots] = {
    "detection.question": Slots("label"),
    "detection.answer": Slots("label boxes"),
    "everything.question": Slots(),
    "everything.answer": Slots("found"),
    "grounding.question": Slots("phrase"),
    "grounding.answer": Slots("boxes", "phrase"),
    "naming.question": Slots("boxes"),
    "naming.answer": Slots("label"),
    "counting.question": Slots("label"),
    "counting.answer": Slots("count", "label boxes"),
    "absent.answer": Slots("", "label"),
}

SECTIONS: Mapping[str, Mapping[str, Slots]] = {
    "boxes": OBJECTS,
    "remote": OBJECTS,
    "classes": {
        "list.question": Slots("candidates"),
        "letters.question": Slots("options"),
        "open.question": Slots(),
        "answer": Slots("label"),
    },
    "vqa": {
        "short.question": Slots("question"),
        "plain.question": Slots("question"),
        "choice.question": Slots("question options"),
    },
    "captions": {"question": Slots()},
    "ocr": {
        "transcription.question": Slots(),
        "transcription.answer": Slots("lines"),
        "spotting.question": Slots(),
        "spotting.answer": Slots("found"),
        "reading.question": Slots("boxes"),
        "reading.answer": Slots("text"),
        "locating.question": Slots("text"),
        "locating.answer": Slots("boxes", "text"),
    },
    "views": {
        "detection.question": Slots("label"),
        "detection.item": Slots("view boxes", "label"),
    },
}
"""Kind → section → slots."""


def load_wording(kind: str, folder: Path | None = None) -> dict[str, Phrasings]:
    """The shipped phrasings of a kind by language, with the sections that files in `folder` replace.

    ValueError naming file, line and slot for anything unknown, missing or malformed.
    """
    if folder is not None:
        _check_folder(folder)
    return {language: _phrasings(kind, language, folder) for language in LANGUAGES}


def write_templates(folder: Path) -> list[Path]:
    """Copy the shipped files for editing. ValueError when one of them is there already."""
    present = [name for name in file_names() if (folder / name).exists()]
    if present:
        raise ValueError(f"{folder}: {present[0]} is there already; choose an empty folder, or move it away")
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(shipped_folder() / name, folder / name)) for name in file_names()]


def shipped_folder() -> Path:
    """Where the package keeps its template files."""
    return Path(__file__).parent / "templates"


def file_names() -> list[str]:
    """`kind.language.txt` of every kind and language."""
    return [f"{kind}.{language}.txt" for kind in SECTIONS for language in LANGUAGES]


def read_phrasings(file: Path, kind: str) -> Phrasings:
    """The sections of a template file. ValueError naming file, line and slot."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    slots = Slots()
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1]
            slots = _slots_of(f"{file}:{number}", kind, name)
            current = found.setdefault(name, [])
        elif current is None:
            raise ValueError(f"{file}:{number}: a phrasing before the first [section]; write one above it")
        else:
            _check_slots(f"{file}:{number}", line, slots)
            current.append(line.replace("\\n", "\n"))
    for name, phrasings in found.items():
        if not phrasings:
            raise ValueError(f"{file}: [{name}] has no phrasing; write one, or remove the section")
    return {name: tuple(phrasings) for name, phrasings in found.items()}


def _phrasings(kind: str, language: str, folder: Path | None) -> Phrasings:
    name = f"{kind}.{language}.txt"
    shipped = read_phrasings(shipped_folder() / name, kind)
    missing = sorted(set(SECTIONS[kind]) - set(shipped))
    if missing:
        raise ValueError(f"{shipped_folder() / name}: no section [{missing[0]}]; install the package again")
    if folder is not None and (folder / name).is_file():
        return shipped | read_phrasings(folder / name, kind)
    return shipped


def _check_folder(folder: Path) -> None:
    """A misspelt file name would be a silent nothing."""
    if not folder.is_dir():
        raise ValueError(f"templates: {folder} is no folder; make one with --write-templates {folder}")
    for file in sorted(folder.glob("*.txt")):
        if file.name not in file_names():
            raise ValueError(f"templates: {file} is unknown; names are {', '.join(file_names())}")


def _slots_of(where: str, kind: str, section: str) -> Slots:
    if section not in SECTIONS[kind]:
        known = ", ".join(SECTIONS[kind])
        raise ValueError(f"{where}: section [{section}] is unknown; {kind} has {known}")
    return SECTIONS[kind][section]


def _check_slots(where: str, line: str, slots: Slots) -> None:
    try:
        used = set(_used(line))
    except ValueError as error:
        raise ValueError(f"{where}: {error}; write {{slot}}, and {{{{ or }}}} for a brace") from error
    needed = slots.needed.split()
    known = {*needed, *slots.allowed.split()}
    for slot in sorted(used - known):
        choices = ", ".join(sorted(known)) or "no slots"
        raise ValueError(f"{where}: slot {{{slot}}} is unknown; this section knows {choices}")
    for slot in needed:
        if slot not in used:
            raise ValueError(f"{where}: slot {{{slot}}} is missing; this section can't do without it")


def _used(line: str) -> Iterator[str]:
    for _, slot, form, conversion in Formatter().parse(line):
        if slot is None:
            continue
        if form or conversion:
            raise ValueError(f"slot {{{slot}}} has a format")
        yield slot
