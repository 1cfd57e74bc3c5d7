"""Builds a data set: kinds of annotations to their drafts, written with counts and rejects."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tessera.annotations import settings as kinds
from tessera.annotations.formats import captions, coco, dota, folders, ocr, views, vqa
from tessera.annotations.formats.rows import read_names
from tessera.annotations.job import Draft, Job
from tessera.annotations.pictures import Pictures
from tessera.annotations.rejects import RejectLog
from tessera.annotations.settings import BuildSettings, RemoteSettings
from tessera.annotations.wording import load_wording
from tessera.annotations.writer import COPIES, META, RecordWriter
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import shown

REJECTS, COUNTS = "rejects.jsonl", "counts.json"


class Kind(NamedTuple):
    """A kind of annotations: its settings and what makes drafts of them."""

    settings: type[BuildSettings]
    drafts: Callable[[Job[Any]], Iterator[Draft]]


KINDS: dict[str, Kind] = {
    "boxes": Kind(kinds.BoxesSettings, coco.drafts),
    "remote": Kind(kinds.RemoteSettings, dota.drafts),
    "classes": Kind(kinds.ClassesSettings, folders.drafts),
    "vqa": Kind(kinds.VqaSettings, vqa.drafts),
    "captions": Kind(kinds.CaptionsSettings, captions.drafts),
    "ocr": Kind(kinds.OcrSettings, ocr.drafts),
    "views": Kind(kinds.ViewsSettings, views.drafts),
}


@dataclass(frozen=True)
class BuildReport:
    """What was built: counts per side, rules and faults by reason, the first faults in words, the files."""

    kind: str
    items: int
    sides: dict[str, dict[str, Any]]
    rules: dict[str, int]
    faults: dict[str, int]
    first: tuple[str, ...]
    files: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, without places of this machine."""
        return asdict(self) | {"files": [file.name for file in self.files]}


def build(kind: str, settings: BuildSettings, progress: Progress = silent) -> BuildReport:
    """Write a data set from annotations. The same input, settings and seed give the same files.

    ValueError for wrong settings, an unreadable annotation file, more faults than `max_faults`, no record, or
    a folder that can't be written.
    """
    try:
        return _built(kind, settings, progress)
    except OSError as error:
        place = shown(str(error.filename or settings.out), bare=True)
        raise ValueError(
            f"{place}: {error.strerror or shown(error)}; correct path or access, or make room"
        ) from error


def _built(kind: str, settings: BuildSettings, progress: Progress) -> BuildReport:
    out, pictures = settings.out, Pictures(_root(settings), settings.out / COPIES)
    wording, names = load_wording(kind, settings.templates), read_names(settings.names)
    writer = RecordWriter(settings, settings.name or kind, pictures.root)
    _make_room(settings)
    with (out / REJECTS).open("wb") as rejects:
        log = RejectLog(rejects)
        with writer.open():
            for draft in KINDS[kind].drafts(Job(settings, pictures, wording, names, log, progress)):
                with log.catching(draft.place):
                    writer.write(draft)
            log.check(settings.max_faults)
            if not any(count.records for count in writer.counts.values()):
                raise ValueError(f"{settings.annotations}: no record came of it; {_why(log, out)}")
    sides = {side: count.as_row() for side, count in writer.counts.items()}
    rules, faults = dict(log.rules.most_common()), dict(log.faults.most_common())
    files = (*writer.files, out / REJECTS, out / COUNTS)
    report = BuildReport(kind, log.items, sides, rules, faults, tuple(log.first), files)
    text = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
    (out / COUNTS).write_text(text + "\n", encoding="utf-8")
    return report


def _root(settings: BuildSettings) -> Path:
    """The folder of the pictures: as given, DOTA's images beside the labels, or where the annotations are."""
    if settings.root is not None:
        return settings.root
    place = settings.annotations
    if isinstance(settings, RemoteSettings) and (place.parent / "images").is_dir():
        return place.parent / "images"
    return place if place.is_dir() else place.parent


def _make_room(settings: BuildSettings) -> None:
    """The output folder, without files of an earlier build. ValueError when they are there and may not go."""
    names = ("train.jsonl", "val.jsonl", *META.values(), REJECTS, COUNTS)
    present = [settings.out / name for name in names if (settings.out / name).exists()]
    # Rejects alone are what a build leaves that was stopped by faults.
    finished = [file for file in present if file.name != REJECTS]
    if finished and not settings.overwrite:
        raise ValueError(f"out: {finished[0]} is there already; choose another folder, or overwrite")
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"out: {settings.out} is no folder; name another") from error
    for file in present:
        file.unlink()


def _why(log: RejectLog, out: Path) -> str:
    if log.first:
        return f"first fault: {log.first[0]}"
    rules = ", ".join(f"{count} x {rule}" for rule, count in log.rules.most_common())
    return f"{rules}; see {out / REJECTS}" if rules else "it holds no items"
