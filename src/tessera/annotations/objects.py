"""Questions about boxes: detection, everything, grounding, region naming, counting, and absent classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tessera.annotations.coordinates import Box, Quad, box_text, clip_box, quad_text
from tessera.annotations.job import Draft, Job, Turn, WordingSampler, choose_turns, in_records
from tessera.annotations.pictures import Picture
from tessera.annotations.settings import ObjectForm, ObjectSettings
from tessera.annotations.tally import Rejected, Rule


@dataclass(frozen=True)
class Region:
    """An object: class, upright box inside the picture in pixels, a phrase of its own if any.

    quad: its corners, where the answer shall give them instead of the box.
    """

    label: str
    box: Box
    quad: Quad | None = None
    phrase: str | None = None


@dataclass
class Scene:
    """A picture with its objects as they are gathered.

    incomplete: classes with objects that were left out, so neither listed nor counted. classes: all of the
    data set, if absent ones shall be asked for.
    """

    place: str
    picture: Picture
    classes: tuple[str, ...]
    regions: list[Region] = field(default_factory=list)
    incomplete: set[str] = field(default_factory=set)

    @contextmanager
    def taking(self, label: str) -> Iterator[None]:
        """Whatever is rejected meanwhile leaves the class incomplete."""
        try:
            yield
        except Rejected:
            self.incomplete.add(label)
            raise

    def by_label(self) -> dict[str, list[Region]]:
        """Regions by class, both from left to right: one order for all answers is easier to learn."""
        groups: dict[str, list[Region]] = {}
        for region in sorted(self.regions, key=lambda region: (region.box, region.label)):
            groups.setdefault(region.label, []).append(region)
        return groups


def clipped(job: Job, box: Sequence[float], picture: Picture, smallest: int) -> Box:
    """The part of a box inside its picture; a cut is counted. Rejected when bad, outside or tiny."""
    inside, cut = clip_box(box, picture.size, smallest)
    if cut:
        job.tally.note(Rule.CLIPPED)
    return inside


def object_drafts(job: Job, scenes: Iterator[Scene], settings: ObjectSettings) -> Iterator[Draft]:
    """Conversations about each scene; scenes that leave nothing to ask are counted."""
    for scene in scenes:
        sampler = job.sampler(scene.picture.path)
        asking = _Asking(job, scene, settings, sampler, scene.by_label())
        turns = choose_turns(asking.turns(), settings.questions, sampler.rng)
        if not turns:
            job.tally.reject(scene.place, Rule.NOTHING, scene.picture.path)
        yield from in_records(scene.place, scene.picture, turns, settings.turns)


@dataclass(frozen=True)
class _Asking:
    """All questions that one scene allows."""

    job: Job
    scene: Scene
    settings: ObjectSettings
    sampler: WordingSampler
    groups: dict[str, list[Region]]

    def turns(self) -> Iterator[Turn]:
        """Every form that was asked for, class by class from left to right."""
        makers: dict[ObjectForm, Callable[[], Iterator[Turn]]] = {
            "detection": self._detection,
            "everything": self._everything,
            "grounding": self._grounding,
            "naming": self._naming,
            "counting": self._counting,
        }
        for form in dict.fromkeys(self.settings.forms):
            yield from makers[form]()
        yield from self._absent()

    def _where(self, regions: Sequence[Region]) -> str:
        size = self.scene.picture.size
        quads = [region.quad for region in regions if region.quad is not None]
        return quad_text(quads, size) if quads else box_text([region.box for region in regions], size)

    def _complete(self) -> Iterator[tuple[str, list[Region]]]:
        """Classes with all their objects, if all are known and not too many."""
        for label, regions in self.groups.items():
            if label not in self.scene.incomplete and len(regions) <= self.settings.max_boxes:
                yield label, regions

    def _detection(self) -> Iterator[Turn]:
        for label, regions in self.groups.items():
            if len(regions) > self.settings.max_boxes:
                self.job.tally.reject(self.scene.place, Rule.TOO_MANY, f"{len(regions)} of {label}")
        for label, regions in self._complete():
            yield self.sampler.turn("detection", [label], label=label, boxes=self._where(regions))

    def _everything(self) -> Iterator[Turn]:
        groups, most = self.groups, self.settings.max_boxes
        if self.scene.incomplete or len(groups) < 2 or len(self.scene.regions) > most:
            return
        found = "".join(f"<ref>{label}</ref>{self._where(regions)}" for label, regions in groups.items())
        yield self.sampler.turn("everything", groups, found=found)

    def _grounding(self) -> Iterator[Turn]:
        """Objects with a phrase of their own, and those that are the only one of their class."""
        alone = {label for label, regions in self._complete() if len(regions) == 1}
        names = [r.phrase or (r.label if r.label in alone else None) for r in self.scene.regions]
        for region, phrase in zip(self.scene.regions, names, strict=True):
            if phrase is not None and names.count(phrase) == 1:
                boxes = self._where([region])
                yield self.sampler.turn("grounding", [region.label], phrase=phrase, boxes=boxes)

    def _naming(self) -> Iterator[Turn]:
        for region in self.scene.regions:
            boxes, label = self._where([region]), region.label
            yield self.sampler.turn("naming", [label], label=label, boxes=boxes)

    def _counting(self) -> Iterator[Turn]:
        for label, regions in self._complete():
            boxes = self._where(regions)
            yield self.sampler.turn("counting", [label], count=len(regions), label=label, boxes=boxes)

    def _absent(self) -> Iterator[Turn]:
        """Classes of the data set that this picture doesn't show, asked as detection."""
        others = sorted(set(self.scene.classes) - set(self.groups) - self.scene.incomplete)
        for label in self.sampler.rng.sample(others, min(self.settings.absent, len(others))):
            question = self.sampler.say("detection.question", label=label)
            yield Turn("absent", question, self.sampler.say("absent.answer", label=label))
