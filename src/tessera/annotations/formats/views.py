"""Several camera views of one moment: DriveLM's JSON, or rows with named views, questions and boxes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tessera.annotations.coordinates import numbers
from tessera.annotations.formats.rows import FileRow, numbered, read_json, read_rows
from tessera.annotations.job import Draft, Job, QAPair, WordingSampler, clean
from tessera.annotations.mosaic import Cell, draw_mosaic, mosaic_cells, mosaic_name, ordered, single_cells
from tessera.annotations.objects import clipped
from tessera.annotations.pictures import Picture
from tessera.annotations.rejects import Fault, Rejected, SkipReason
from tessera.annotations.settings import ViewsSettings
from tessera.runtime.shown import shown

_TAG = re.compile(r"<([^<>,\s]++),\s*+([^<>,]++),\s*+(-?\d++(?:\.\d++)?),\s*+(-?\d++(?:\.\d++)?)\s*+>")
"""DriveLM's name of an object, `<c1,CAM_FRONT,712.5,480.3>`: number, view, centre in the view's pixels."""
QUESTIONS = ("qa", "QA", "questions")


@dataclass(frozen=True)
class Moment:
    """Views by name as paths, questions with answers, and objects, as the file has them."""

    place: str
    views: Mapping[str, object]
    questions: list[FileRow]
    objects: list[FileRow]


def drafts(job: Job[ViewsSettings]) -> Iterator[Draft]:
    """Conversations about each moment, in pictures behind their names or in a mosaic."""
    settings, drawn = job.settings, set[str]()
    for moment in _moments(job):
        with job.log.catching(moment.place):
            views = ordered({name: job.pictures.find(path) for name, path in moment.views.items()})
            if not views:
                raise Rejected(Fault.BAD_ROW, "no views")
            mosaic = settings.layout == "mosaic"
            cells = mosaic_cells(views, settings.columns, settings.cell) if mosaic else single_cells(views)
            sampler = job.sampler(*(picture.path for picture in views.values()))
            yield from _Sheet(job, moment, cells, sampler).drafts(drawn)


@dataclass(frozen=True)
class _Sheet:
    """One moment laid out."""

    job: Job[ViewsSettings]
    moment: Moment
    cells: Mapping[str, Cell]
    sampler: WordingSampler

    def drafts(self, drawn: set[str]) -> Iterator[Draft]:
        """Records of at most `turns` turns; the mosaic is drawn once, when there is something to ask."""
        turns, most = (*self._given(), *self._detection()), self.job.settings.turns
        if not turns:
            raise Rejected(SkipReason.NOTHING, "neither questions nor objects are left")
        pictures = tuple(cell.picture for cell in self.cells.values())
        head, shown = "".join(f"{name}: <image>\n" for name in self.cells), tuple[Picture, ...]()
        if self.job.settings.layout == "mosaic":
            head, shown = "<image>\n", (self._mosaic(drawn),)
        for start in range(0, len(turns), most):
            yield Draft(self.moment.place, pictures, turns[start : start + most], head, shown)

    def _mosaic(self, drawn: set[str]) -> Picture:
        name = mosaic_name(self.cells)
        if name not in drawn:
            draw_mosaic(self.job.pictures, self.cells, self.job.settings.out / name)
            drawn.add(name)
        return Picture(name, next(iter(self.cells.values())).shown)

    def _given(self) -> Iterator[QAPair]:
        """Questions that the file holds, with names of objects on the scale of 1000."""
        for row in self.moment.questions:
            with self.job.log.catching(row.place, items=1):
                asked = self._retold(clean(row.get("question", "Q"), "question"))
                yield QAPair("question", asked, self._retold(clean(row.get("answer", "A"), "answer")))

    def _retold(self, text: str) -> str:
        """`<c1,CAM_FRONT,x,y>` in pixels as `<c1,CAM_FRONT,[x,y]>` of what is shown, 0 to 1000."""

        def move(match: re.Match[str]) -> str:
            number, view, *point = match.groups()
            x, y = map(float, point)
            cell = self._cell(view)
            width, height = cell.picture.size
            if not (0 <= x <= width and 0 <= y <= height):
                raise Rejected(Fault.OUTSIDE_PICTURE, f"{match.group()} of {width} x {height}")
            x, y = cell.scaled((x, y))
            return f"<{number},{view},[{x},{y}]>"

        return _TAG.sub(move, text)

    def _cell(self, view: object) -> Cell:
        name = view.strip() if isinstance(view, str) else ""
        if name not in self.cells:
            raise Rejected(Fault.UNKNOWN_VIEW, f"{shown(view)}; views are {shown(list(self.cells))}")
        return self.cells[name]

    def _detection(self) -> Iterator[QAPair]:
        """All objects of a class over all views, a line per view."""
        found: dict[str, dict[str, list[list[int]]]] = {}
        incomplete: set[str] = set()
        for row in self.moment.objects:
            with self.job.log.catching(row.place, items=1):
                label = self.job.label(row.fields.get("label"))
                try:
                    view, box = self._object(row.fields)
                except Rejected:
                    incomplete.add(label)
                    raise
                found.setdefault(label, {}).setdefault(view, []).append(box)
        for label, views in found.items():
            count = sum(map(len, views.values()))
            if count > self.job.settings.max_boxes:
                self.job.log.reject(self.moment.place, SkipReason.TOO_MANY, f"{count} of {label}")
            elif label not in incomplete:
                question = self.sampler.say("detection.question", label=label)
                yield QAPair("detection", question, self._answer(label, views))

    def _object(self, entry: Mapping[str, Any]) -> tuple[str, list[int]]:
        """View of an object, and its box on the scale of what is shown."""
        cell = self._cell(entry.get("view"))
        box = clipped(self.job, numbers(entry.get("box"), 4, "box"), cell.picture)
        return str(entry["view"]), list(cell.scaled(box))

    def _answer(self, label: str, views: Mapping[str, list[list[int]]]) -> str:
        """Lines in the order of the views, boxes from left to right."""
        shown = [(name, f"<box>{sorted(views[name])}</box>") for name in self.cells if name in views]
        say = self.sampler.say
        return "\n".join(say("detection.item", view=name, label=label, boxes=boxes) for name, boxes in shown)


def _moments(job: Job[ViewsSettings]) -> Iterator[Moment]:
    file = job.settings.annotations
    content = read_json(file) if file.suffix.lower() == ".json" else None
    if isinstance(content, dict):
        yield from _drivelm(job, content)
        return
    for row in read_rows(job, (("views",),)):
        with job.log.catching(row.place):
            yield _row_moment(row)


def _row_moment(row: FileRow) -> Moment:
    """A row with `views`, `question` and `answer` or a list `qa` of them, and perhaps `objects`."""
    views, objects, pairs = row.get("views"), row.get("objects") or [], row.get(*QUESTIONS)
    if not isinstance(views, dict):
        raise Rejected(Fault.BAD_ROW, "'views' is not an object of view name -> picture")
    if pairs is None:
        pairs = [] if row.get("question") is None else [row.fields]
    asked = numbered(row.place, "question", pairs, "'qa' is not a list of objects")
    seen = numbered(row.place, "object", objects, "'objects' is not a list of objects")
    return Moment(row.place, views, asked, seen)


def _drivelm(job: Job[ViewsSettings], content: dict[str, Any]) -> Iterator[Moment]:
    """Scenes → key frames → `image_paths` and `QA`. Its key objects are a choice: no detection."""
    file = job.settings.annotations
    for done, (scene, entry) in enumerate(content.items(), 1):
        frames = entry.get("key_frames") if isinstance(entry, dict) else None
        if not isinstance(frames, dict):
            raise ValueError(f"{file}: {scene}: no 'key_frames'; see docs/data_build.md for the formats")
        for name, frame in frames.items():
            job.count(done, len(content))
            place = f"{file}: {scene}_{name}"
            with job.log.catching(place):
                yield _drivelm_moment(place, frame)


def _drivelm_moment(place: str, frame: object) -> Moment:
    """Pictures are named from the folder beside the annotations (`../nuscenes/…`): that one is the root."""
    found = frame if isinstance(frame, dict) else {}
    paths, tasks = found.get("image_paths"), found.get("QA")
    if not isinstance(paths, dict) or not isinstance(tasks, dict):
        raise Rejected(Fault.BAD_ROW, "no 'image_paths' and 'QA'")
    views = {name: str(path).removeprefix("../") for name, path in paths.items()}
    pairs = [pair for task in tasks.values() if isinstance(task, list) for pair in task]
    asked = [pair for pair in pairs if isinstance(pair, dict)]
    return Moment(place, views, numbered(place, "question", asked, "'QA' is not a list of objects"), [])
