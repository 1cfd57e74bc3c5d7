"""Several camera views of one moment: DriveLM's JSON, or rows with named views, questions and boxes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessera.annotations.coordinates import numbers
from tessera.annotations.formats.rows import Row, read_json, read_rows
from tessera.annotations.job import Draft, Job, Turn, WordingSampler, clean
from tessera.annotations.mosaic import Cell, draw_mosaic, mosaic_cells, mosaic_name, ordered, single_cells
from tessera.annotations.objects import clipped
from tessera.annotations.pictures import Picture
from tessera.annotations.settings import ViewsSettings
from tessera.annotations.tally import Fault, Rejected, Rule

_TAG = re.compile(r"<([^<>,\s]+),\s*([^<>,]+?),\s*(-?\d+(?:\.\d+)?),\s*(-?\d+(?:\.\d+)?)\s*>")
"""DriveLM's name of an object, `<c1,CAM_FRONT,712.5,480.3>`: number, view, centre in the view's pixels."""
QUESTIONS = ("qa", "QA", "questions")


@dataclass(frozen=True)
class Moment:
    """Views by name as paths, questions with answers, and objects, as the file has them."""

    place: str
    views: Mapping[str, object]
    questions: list[Row]
    objects: list[Row] = field(default_factory=list)


def view_drafts(job: Job, settings: ViewsSettings) -> Iterator[Draft]:
    """Conversations about each moment, in pictures behind their names or in a mosaic."""
    drawn: set[str] = set()
    for moment in _moments(job, settings.annotations):
        with job.tally.catching(moment.place):
            views = ordered({name: job.pictures.find(path) for name, path in moment.views.items()})
            if not views:
                raise Rejected(Fault.BAD_ROW, "no views")
            cells = single_cells(views)
            if settings.layout == "mosaic":
                cells = mosaic_cells(views, settings.columns, settings.cell)
            sampler = job.sampler(*(picture.path for picture in views.values()))
            yield from _Sheet(job, settings, moment, views, cells, sampler).drafts(drawn)


@dataclass(frozen=True)
class _Sheet:
    """One moment laid out."""

    job: Job
    settings: ViewsSettings
    moment: Moment
    views: Mapping[str, Picture]
    cells: Mapping[str, Cell]
    sampler: WordingSampler

    def drafts(self, drawn: set[str]) -> Iterator[Draft]:
        """Records of at most `turns` turns; the mosaic is drawn once, when there is something to ask."""
        turns = [*self._given(), *self._detection()]
        if not turns:
            raise Rejected(Rule.NOTHING, "neither questions nor objects are left")
        head = "".join(f"{name}: <image>\n" for name in self.views)
        shown: tuple[Picture, ...] = ()
        if self.settings.layout == "mosaic":
            head, shown = "<image>\n", (self._mosaic(drawn),)
        pictures = tuple(self.views.values())
        for start in range(0, len(turns), self.settings.turns):
            part = tuple(turns[start : start + self.settings.turns])
            yield Draft(self.moment.place, pictures, part, head, shown)

    def _mosaic(self, drawn: set[str]) -> Picture:
        name = mosaic_name(self.views, self.cells)
        if name not in drawn:
            draw_mosaic(self.job.pictures.root, self.views, self.cells, self.settings.out / name)
            drawn.add(name)
        return Picture(name, next(iter(self.cells.values())).shown)

    def _given(self) -> Iterator[Turn]:
        """Questions that the file holds, with names of objects on the scale of 1000."""
        for row in self.moment.questions:
            with self.job.tally.catching(row.place, items=1):
                asked = self._retold(clean(row.get("question", "Q"), "question"))
                yield Turn("question", asked, self._retold(clean(row.get("answer", "A"), "answer")))

    def _retold(self, text: str) -> str:
        """`<c1,CAM_FRONT,x,y>` in pixels as `<c1,CAM_FRONT,[x,y]>` of what is shown, 0 to 1000."""

        def move(match: re.Match[str]) -> str:
            number, view, *point = match.groups()
            x, y = map(float, point)
            cell, picture = self._view(view)
            width, height = picture.size
            if not (0 <= x <= width and 0 <= y <= height):
                raise Rejected(Fault.OUTSIDE_PICTURE, f"{match.group()} of {width} x {height}")
            x, y = cell.scaled((x, y), picture.size)
            return f"<{number},{view},[{x},{y}]>"

        return _TAG.sub(move, text)

    def _view(self, name: object) -> tuple[Cell, Picture]:
        if name not in self.cells:
            raise Rejected(Fault.UNKNOWN_VIEW, f"{name!r}; views are {', '.join(self.cells)}")
        return self.cells[str(name)], self.views[str(name)]

    def _detection(self) -> Iterator[Turn]:
        """All objects of a class over all views, a line per view."""
        found: dict[str, dict[str, list[list[int]]]] = {}
        incomplete: set[str] = set()
        for row in self.moment.objects:
            with self.job.tally.catching(row.place, items=1):
                label = self.job.label(row.fields.get("label"))
                try:
                    view, box = self._object(row.fields)
                except Rejected:
                    incomplete.add(label)
                    raise
                found.setdefault(label, {}).setdefault(view, []).append(box)
        for label, views in found.items():
            count = sum(map(len, views.values()))
            if count > self.settings.max_boxes:
                self.job.tally.reject(self.moment.place, Rule.TOO_MANY, f"{count} of {label}")
            elif label not in incomplete:
                question = self.sampler.say("detection.question", label=label)
                yield Turn("detection", question, self._answer(label, views))

    def _object(self, entry: Mapping[str, Any]) -> tuple[str, list[int]]:
        """View of an object, and its box on the scale of what is shown."""
        cell, picture = self._view(entry.get("view"))
        box = clipped(self.job, numbers(entry.get("box"), 4, "box"), picture, self.settings.smallest)
        return str(entry["view"]), list(cell.scaled(box, picture.size))

    def _answer(self, label: str, views: Mapping[str, list[list[int]]]) -> str:
        """Lines in the order of the views, boxes from left to right."""
        shown = [name for name in self.views if name in views]
        boxes = {name: f"<box>{sorted(views[name])}</box>" for name in shown}
        lines = [self.sampler.say("detection.item", view=n, label=label, boxes=boxes[n]) for n in shown]
        return "\n".join(lines)


def _moments(job: Job, file: Path) -> Iterator[Moment]:
    content = read_json(file) if file.suffix.lower() == ".json" else None
    if isinstance(content, dict):
        yield from _drivelm(job, file, content)
        return
    for row in read_rows(file, job, (("views",),)):
        with job.tally.catching(row.place):
            yield _row_moment(row)


def _row_moment(row: Row) -> Moment:
    """A row with `views`, `question` and `answer` or a list `qa` of them, and perhaps `objects`."""
    views, objects, pairs = row.get("views"), row.get("objects") or [], row.get(*QUESTIONS)
    if not isinstance(views, dict):
        raise Rejected(Fault.BAD_ROW, "'views' is not an object of view name -> picture")
    if pairs is None:
        pairs = [dict(row.fields)] if row.get("question") is not None else []
    for name, found in (("qa", pairs), ("objects", objects)):
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise Rejected(Fault.BAD_ROW, f"{name!r} is not a list of objects")
    return Moment(row.place, views, _rows(row.place, "question", pairs), _rows(row.place, "object", objects))


def _rows(place: str, what: str, entries: list[dict[str, Any]]) -> list[Row]:
    return [Row(f"{place}: {what} {number}", entry) for number, entry in enumerate(entries, 1)]


def _drivelm(job: Job, file: Path, content: dict[str, Any]) -> Iterator[Moment]:
    """Scenes → key frames → `image_paths` and `QA`. Its key objects are a choice: no detection."""
    for done, (scene, entry) in enumerate(content.items(), 1):
        frames = entry.get("key_frames") if isinstance(entry, dict) else None
        if not isinstance(frames, dict):
            raise ValueError(f"{file}: {scene}: no 'key_frames'; see docs/data_build.md for the formats")
        for name, frame in frames.items():
            job.count(done, len(content))
            place = f"{file}: {scene}_{name}"
            with job.tally.catching(place):
                yield _drivelm_moment(place, frame)


def _drivelm_moment(place: str, frame: object) -> Moment:
    """Pictures are named from the folder beside the annotations (`../nuscenes/…`): that one is the root."""
    paths = frame.get("image_paths") if isinstance(frame, dict) else None
    tasks = frame.get("QA") if isinstance(frame, dict) else None
    if not isinstance(paths, dict) or not isinstance(tasks, dict):
        raise Rejected(Fault.BAD_ROW, "no 'image_paths' and 'QA'")
    entries = [entry for found in tasks.values() if isinstance(found, list) for entry in found]
    views = {name: str(path).removeprefix("../") for name, path in paths.items()}
    return Moment(
        place, views, _rows(place, "question", [entry for entry in entries if isinstance(entry, dict)])
    )
