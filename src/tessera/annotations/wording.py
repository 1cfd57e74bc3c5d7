r"""Phrasings from plain text files: `[section]` lines, then one phrasing a line, with slots in braces.

`\n` is a line break, `{{` and `}}` are braces, lines that start with `#` are remarks. A file of one's own
replaces the sections it has. Every slot is checked when a file is read, so nothing fails in mid-build.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

LANGUAGES = ("en", "zh")
Phrasings = dict[str, list[str]]
"""Section → phrasings."""


OBJECTS = {
    "detection.question": "label",
    "detection.answer": "label boxes",
    "everything.question": "",
    "everything.answer": "found",
    "grounding.question": "phrase",
    "grounding.answer": "boxes [phrase]",
    "naming.question": "boxes",
    "naming.answer": "label",
    "counting.question": "label",
    "counting.answer": "count [label] [boxes]",
    "absent.answer": "[label]",
}
SECTIONS = {
    "boxes": OBJECTS,
    "remote": OBJECTS,
    "classes": {
        "list.question": "candidates",
        "letters.question": "options",
        "open.question": "",
        "answer": "label",
    },
    "vqa": {
        "short.question": "question",
        "plain.question": "question",
        "choice.question": "question options",
    },
    "captions": {"question": ""},
    "ocr": {
        "transcription.question": "",
        "transcription.answer": "lines",
        "spotting.question": "",
        "spotting.answer": "found",
        "reading.question": "boxes",
        "reading.answer": "text",
        "locating.question": "text",
        "locating.answer": "boxes [text]",
    },
    "views": {
        "detection.question": "label",
        "detection.item": "view boxes [label]",
    },
}
"""Kind → section → slots; those in brackets may be left out, without others a turn would make no sense."""
SHIPPED = Path(__file__).parent / "templates"
FILE_NAMES = [f"{kind}.{language}.txt" for kind in SECTIONS for language in LANGUAGES]


def load_wording(kind: str, folder: Path | None = None) -> dict[str, Phrasings]:
    """The shipped phrasings of a kind by language, with the sections that files in `folder` replace.

    ValueError naming file, line and slot for anything unknown, missing or malformed.
    """
    if folder is not None and not folder.is_dir():
        raise ValueError(f"templates: {folder} is no folder; make one with --write-templates {folder}")
    # A misspelt file name would be a silent nothing.
    for file in sorted(folder.glob("*.txt")) if folder else ():
        if file.name not in FILE_NAMES:
            raise ValueError(f"templates: {file} is unknown; names are {', '.join(FILE_NAMES)}")
    wording = {}
    for language in LANGUAGES:
        name = f"{kind}.{language}.txt"
        wording[language] = read_phrasings(SHIPPED / name, kind)
        if missing := sorted(set(SECTIONS[kind]) - set(wording[language])):
            raise ValueError(f"{SHIPPED / name}: no section [{missing[0]}]; install the package again")
        if folder is not None and (folder / name).is_file():
            wording[language] |= read_phrasings(folder / name, kind)
    return wording


def write_templates(folder: Path) -> list[Path]:
    """Copy the shipped files for editing. ValueError when one of them is there already."""
    if present := [name for name in FILE_NAMES if (folder / name).exists()]:
        raise ValueError(f"{folder}: {present[0]} is there already; choose an empty folder, or move it away")
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(SHIPPED / name, folder / name)) for name in FILE_NAMES]


def read_phrasings(file: Path, kind: str) -> Phrasings:
    """The sections of a template file. ValueError naming file, line and slot."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    found, section = Phrasings(), ""
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            if section not in SECTIONS[kind]:
                known = ", ".join(SECTIONS[kind])
                raise ValueError(f"{file}:{number}: section [{section}] is unknown; {kind} has {known}")
            found.setdefault(section, [])
        elif not section:
            raise ValueError(f"{file}:{number}: a phrasing before the first [section]; write one above it")
        else:
            _check_slots(f"{file}:{number}", line, SECTIONS[kind][section])
            found[section].append(line.replace("\\n", "\n"))
    for name, phrasings in found.items():
        if not phrasings:
            raise ValueError(f"{file}: [{name}] has no phrasing; write one, or remove the section")
    return found


def _check_slots(where: str, line: str, slots: str) -> None:
    try:
        used = set(_used(line))
    except ValueError as error:
        raise ValueError(f"{where}: {error}; write {{slot}}, and {{{{ or }}}} for a brace") from error
    known = sorted(slot.strip("[]") for slot in slots.split())
    for slot in sorted(used.difference(known)):
        choices = ", ".join(known) or "no slots"
        raise ValueError(f"{where}: slot {{{slot}}} is unknown; this section knows {choices}")
    for slot in slots.split():
        if slot not in used and not slot.startswith("["):
            raise ValueError(f"{where}: slot {{{slot}}} is missing; this section can't do without it")


def _used(line: str) -> Iterator[str]:
    for _, slot, form, conversion in Formatter().parse(line):
        if slot is None:
            continue
        if form or conversion:
            raise ValueError(f"slot {{{slot}}} has a format")
        yield slot
