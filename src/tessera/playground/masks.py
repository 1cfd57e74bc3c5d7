"""Drawn pictures with questions whose answers are masks: named things, all of a kind, things not there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
import PIL.Image

from tessera.imaging.masks.rle import encode_mask
from tessera.playground.drawings.marks import COLOR_NAMES, SHAPES, Canvas, shape_mask
from tessera.playground.drawings.things import Thing, paint, plan_things
from tessera.playground.questions.things import plural
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed

ASKED = ("mask the {a}.", "show me the {a}.", "which part of the picture is the {a}?", "cut out the {a}.")
ALL_ASKED = ("mask all {a}.", "show me all {a}.", "cut out all {a}.")
INK = 128
"""A pixel belongs to a thing that covers half of it."""


@dataclass(frozen=True, eq=False)
class MaskQuestion:
    """A question about a picture, of a kind: one, place, all, two, none. masks: bool [H, W], in the order of
    the answer."""

    kind: str
    text: str
    answer: str
    masks: tuple[npt.NDArray[np.bool_], ...]


@dataclass(frozen=True, eq=False)
class MaskedScene:
    """A picture and what is asked about it."""

    picture: PIL.Image.Image
    questions: tuple[MaskQuestion, ...]


def draw_masked(
    seed: int, token: str = "[SEG]", size: tuple[int, int] = (64, 64), level: int = 2
) -> MaskedScene:
    """Draw a picture of shapes with up to five questions, whose answers hold `token` for each mask."""
    rng = Random(derive_seed("masks", seed, level, *size))
    things = plan_things(rng, level).things
    picture = paint(things, Canvas(size, level, rng))
    asking = _Asking(rng, things, token, size)
    return MaskedScene(picture, tuple(asking.questions()))


class _Asking:
    def __init__(self, rng: Random, things: Sequence[Thing], token: str, size: tuple[int, int]) -> None:
        self.rng, self.token, self.size = rng, token, size
        self.things = sorted(things, key=lambda thing: thing.slot)
        names = Counter(thing.name for thing in things)
        self.named = [thing for thing in self.things if names[thing.name] == 1]

    def questions(self) -> list[MaskQuestion]:
        """One of each kind that the picture has, in random order."""
        found = [self._place(self.rng.choice(self.things)), self._all(), self._none()]
        if self.named:
            found.append(self._one(self.rng.choice(self.named)))
        if len(self.named) > 1:
            found.append(self._two(self.rng.sample(self.named, 2)))
        self.rng.shuffle(found)
        return found

    def _one(self, thing: Thing) -> MaskQuestion:
        return self._question("one", ASKED, thing.name, [thing])

    def _place(self, thing: Thing) -> MaskQuestion:
        return self._question("place", ASKED, f"thing {thing.where}", [thing])

    def _two(self, things: Sequence[Thing]) -> MaskQuestion:
        asked = " and the ".join(thing.name for thing in things)
        return self._question("two", ASKED, asked, things)

    def _all(self) -> MaskQuestion:
        """All of a colour or a shape; now and then there are none."""
        thing, by_shape = self.rng.choice(self.things), self.rng.random() < 0.5
        value = thing.shape if by_shape else thing.color
        if self.rng.random() < 0.2:
            value = self.rng.choice(SHAPES if by_shape else COLOR_NAMES)
        meant = [t for t in self.things if value == (t.shape if by_shape else t.color)]
        phrase = plural(value) if by_shape else f"{value} things"
        return self._question("all", ALL_ASKED, phrase, meant)

    def _none(self) -> MaskQuestion:
        """A thing that is not there, though its colour or its shape may be."""
        there = {(thing.color, thing.shape) for thing in self.things}
        gone = [(c, s) for c in COLOR_NAMES for s in SHAPES if (c, s) not in there]
        near = [(c, s) for c, s in gone if any(c == t.color or s == t.shape for t in self.things)]
        color, shape = self.rng.choice(near if self.rng.random() < 0.5 else gone)
        return self._question("none", ASKED, f"{color} {shape}", [])

    def _question(
        self, kind: str, wordings: Sequence[str], phrase: str, meant: Sequence[Thing]
    ) -> MaskQuestion:
        """The answer says where each thing is before its token: words that a model knows lead to the mask."""
        answer = ", ".join(f"{thing.name} {thing.where} {self.token}" for thing in meant) or "none."
        masks = tuple(self._mask(thing) for thing in meant)
        return MaskQuestion(kind, self.rng.choice(wordings).format(a=phrase), answer, masks)

    def _mask(self, thing: Thing) -> npt.NDArray[np.bool_]:
        width, height = self.size
        left, top, right, _ = thing.pixels
        drawn = PIL.Image.new("L", (width, height))
        drawn.paste(shape_mask(thing.shape, right - left), (left, top))
        return np.asarray(drawn) >= INK


def write_masked(
    folder: str | Path,
    count: int,
    seed: int = 0,
    token: str = "[SEG]",
    level: int = 2,
    progress: Progress = silent,
) -> Path:
    """Write so many pictures with their questions as training data; returns the manifest, `meta.json`.

    Each picture is one record in InternVL's form, with `masks` in COCO's run-length code.
    """
    root = Path(folder)
    (root / "pictures").mkdir(parents=True, exist_ok=True)
    with (root / "masks.jsonl").open("w", encoding="utf-8") as lines:
        for number in range(count):
            scene = draw_masked(derive_seed("masked", seed, number), token, level=level)
            name = f"pictures/{number:06d}.png"
            scene.picture.save(root / name)
            lines.write(json.dumps(_record(name, scene)) + "\n")
            progress("pictures", number + 1, count)
    entry = {"root": ".", "annotation": "masks.jsonl", "length": count}
    (root / "meta.json").write_text(json.dumps({"masks": entry}, indent=1) + "\n", encoding="utf-8")
    return root / "meta.json"


def _record(name: str, scene: MaskedScene) -> dict[str, object]:
    turns = []
    for number, question in enumerate(scene.questions):
        text = question.text if number else f"<image>\n{question.text}"
        turns += [{"from": "human", "value": text}, {"from": "gpt", "value": question.answer}]
    masks = [encode_mask(mask) for question in scene.questions for mask in question.masks]
    return {"image": name, "conversations": turns, "masks": masks}
