"""Questions about boxes: detection, everything, grounding, region naming, counting, and absent classes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tessera.annotations.coordinates import Box, Quad, box_text, clip_box, quad_text
from tessera.annotations.job import Draft, Job, QAPair, WordingSampler, choose_turns, in_records
from tessera.annotations.pictures import Picture
from tessera.annotations.rejects import Rejected, SkipReason
from tessera.annotations.settings import BoxesSettings, ObjectForm, OcrSettings, PlacesSettings
from tessera.runtime.shown import shown


@dataclass(frozen=True)
class LabelledBox:
    """An object or a line of text: its class or text, and its upright box inside the picture in pixels.

    quad: its corners, where the answer shall give them instead of the box. phrase: of its own, if any.
    """

    label: str
    box: Box
    quad: Quad | None = None
    phrase: str | None = None


@dataclass
class AnnotatedPicture:
    """A picture with its boxes as they are gathered.

    classes: all of the data set, if absent ones shall be asked for. incomplete: labels with boxes that were
    left out, so neither listed nor counted.
    """

    place: str
    picture: Picture
    classes: tuple[str, ...] = ()
    boxes: list[LabelledBox] = field(default_factory=list)
    incomplete: set[str] = field(default_factory=set)

    @contextmanager
    def taking(self, label: str) -> Iterator[None]:
        """Whatever is rejected meanwhile leaves the label incomplete."""
        try:
            yield
        except Rejected:
            self.incomplete.add(label)
            raise


def clipped(job: Job[PlacesSettings], box: Sequence[float], picture: Picture) -> Box:
    """The part of a box inside its picture; a cut is counted. Rejected when bad, outside or tiny."""
    inside, cut = clip_box(box, picture.size, job.settings.smallest)
    job.log.rules.update([str(SkipReason.CLIPPED)] if cut else [])
    return inside


Asking = Callable[[AnnotatedPicture, WordingSampler], Iterable[QAPair]]


def picture_drafts(
    job: Job[BoxesSettings | OcrSettings], pictures: Iterable[AnnotatedPicture], asking: Asking
) -> Iterator[Draft]:
    """Conversations about each picture; those that leave nothing to ask are counted.

    ValueError for a picture that comes twice: neither of its lists of boxes would be complete.
    """
    places: dict[str, str] = {}
    for found in pictures:
        if (before := places.setdefault(found.picture.path, found.place)) != found.place:
            both = f"{shown(before, bare=True)} and {shown(found.place, bare=True)}"
            raise ValueError(f"{both} are both about {shown(found.picture.path)}; put its boxes together")
        sampler = job.sampler(found.picture.path)
        turns = choose_turns(asking(found, sampler), job.settings.questions, sampler.rng)
        if not turns:
            job.log.reject(found.place, SkipReason.NOTHING, found.picture.path)
        yield from in_records(found.place, [found.picture], turns, job.settings.turns)


def object_drafts(job: Job[BoxesSettings], pictures: Iterable[AnnotatedPicture]) -> Iterator[Draft]:
    """Conversations about the objects of each picture."""
    return picture_drafts(job, pictures, lambda found, sampler: _Questions(job, found, sampler).all())


class _Questions:
    """All questions that the objects of one picture allow."""

    def __init__(self, job: Job[BoxesSettings], found: AnnotatedPicture, sampler: WordingSampler) -> None:
        self.job, self.found, self.sampler = job, found, sampler
        self.most = job.settings.max_boxes
        self.groups: dict[str, list[LabelledBox]] = {}
        # Classes and their boxes from left to right: one order for all answers is easier to learn.
        for box in sorted(found.boxes, key=lambda box: (box.box, box.label)):
            self.groups.setdefault(box.label, []).append(box)

    def all(self) -> Iterator[QAPair]:
        """Every form that was asked for, class by class from left to right."""
        makers: dict[ObjectForm, Callable[[], Iterator[QAPair]]] = {
            "detection": self._detection,
            "everything": self._everything,
            "grounding": self._grounding,
            "naming": self._naming,
            "counting": self._counting,
        }
        for form in dict.fromkeys(self.job.settings.forms):
            yield from makers[form]()
        yield from self._absent()

    def _where(self, boxes: Sequence[LabelledBox]) -> str:
        size = self.found.picture.size
        quads = [box.quad for box in boxes if box.quad is not None]
        return quad_text(quads, size) if quads else box_text([box.box for box in boxes], size)

    def _complete(self) -> Iterator[tuple[str, list[LabelledBox]]]:
        """Classes with all their objects, if all are known and not too many."""
        for label, boxes in self.groups.items():
            if label not in self.found.incomplete and len(boxes) <= self.most:
                yield label, boxes

    def _detection(self) -> Iterator[QAPair]:
        for label, boxes in self.groups.items():
            if len(boxes) > self.most:
                self.job.log.reject(self.found.place, SkipReason.TOO_MANY, f"{len(boxes)} of {label}")
        for label, boxes in self._complete():
            yield self.sampler.turn("detection", [label], label=label, boxes=self._where(boxes))

    def _everything(self) -> Iterator[QAPair]:
        if not self.found.incomplete and len(self.groups) > 1 and len(self.found.boxes) <= self.most:
            found = [f"<ref>{label}</ref>{self._where(boxes)}" for label, boxes in self.groups.items()]
            yield self.sampler.turn("everything", self.groups, found="".join(found))

    def _grounding(self) -> Iterator[QAPair]:
        """Objects with a phrase of their own, and those that are the only one of their class."""
        alone = {label for label, boxes in self._complete() if len(boxes) == 1}
        names = [box.phrase or (box.label if box.label in alone else None) for box in self.found.boxes]
        for box, phrase in zip(self.found.boxes, names, strict=True):
            if phrase is not None and names.count(phrase) == 1:
                yield self.sampler.turn("grounding", [box.label], phrase=phrase, boxes=self._where([box]))

    def _naming(self) -> Iterator[QAPair]:
        for box in self.found.boxes:
            yield self.sampler.turn("naming", [box.label], label=box.label, boxes=self._where([box]))

    def _counting(self) -> Iterator[QAPair]:
        for label, boxes in self._complete():
            where = self._where(boxes)
            yield self.sampler.turn("counting", [label], count=len(boxes), label=label, boxes=where)

    def _absent(self) -> Iterator[QAPair]:
        """Classes of the data set that this picture doesn't show, asked as detection."""
        others = sorted(set(self.found.classes) - set(self.groups) - self.found.incomplete)
        for label in self.sampler.rng.sample(others, min(self.job.settings.absent, len(others))):
            question = self.sampler.say("detection.question", label=label)
            yield QAPair("absent", question, self.sampler.say("absent.answer", label=label))
