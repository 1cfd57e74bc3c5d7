"""A second, independent reader: objects from pixels or from captions, and answers worked out from them.

Nothing here looks at the drawing code's plans: colours come from pixels, shapes from how a component fills
its box, places from where its centre lies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import PIL.Image

from tessera.playground.parts import Question
from tessera.playground.questions.asker import wordings

REFERENCE = {
    "red": (222, 28, 36),
    "green": (24, 158, 58),
    "blue": (40, 84, 235),
    "yellow": (246, 208, 20),
    "purple": (158, 52, 190),
    "orange": (246, 128, 16),
}
SINGULAR = {
    "circles": "circle",
    "squares": "square",
    "triangles": "triangle",
    "crosses": "cross",
    "rings": "ring",
}
CENTRES = {
    "top left": (0.25, 0.25),
    "top right": (0.75, 0.25),
    "middle": (0.5, 0.5),
    "bottom left": (0.25, 0.75),
    "bottom right": (0.75, 0.75),
}


@dataclass(frozen=True)
class Seen:
    """One object as read; `box` in pixels, or None when it was read from words."""

    size: str
    color: str
    shape: str
    place: str
    box: tuple[int, int, int, int] | None = None

    @property
    def centre(self) -> tuple[float, float]:
        if self.box is None:
            return CENTRES[self.place]
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


def foreground(image: PIL.Image.Image) -> npt.NDArray[np.bool_]:
    """Pixels that differ from the most frequent colour."""
    pixels = np.asarray(image).astype(np.int32)
    colors, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    return np.abs(pixels - colors[counts.argmax()]).max(axis=2) > 8


def components(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    """Four-connected components, each as a mask of the whole picture."""
    rest, found = mask.copy(), []
    while rest.any():
        part = np.zeros_like(mask)
        part[np.unravel_index(rest.argmax(), rest.shape)] = True
        while True:
            grown = part.copy()
            grown[1:] |= part[:-1]
            grown[:-1] |= part[1:]
            grown[:, 1:] |= part[:, :-1]
            grown[:, :-1] |= part[:, 1:]
            grown &= mask
            if (grown == part).all():
                break
            part = grown
        found.append(part)
        rest &= ~part
    return found


def color_name(pixels: npt.NDArray[np.uint8]) -> str:
    """The named colour nearest to the median of some pixels."""
    middle = np.median(pixels.reshape(-1, 3), axis=0)
    return min(REFERENCE, key=lambda name: float(np.abs(middle - REFERENCE[name]).sum()))


def shape_name(part: npt.NDArray[np.bool_]) -> str:
    """The shape of a component cut to its box."""
    side = part.shape[0] - 1
    if not part[side // 2, side // 2]:
        return "ring"
    if part[side, 0] and part[side, side]:
        return "square" if part[0, 0] else "triangle"
    near = round(side * 0.2)
    return "circle" if part[near, near] else "cross"


def place_name(x: float, y: float) -> str:
    """The place of a centre given in shares."""
    if abs(x - 0.5) < 0.05 and abs(y - 0.5) < 0.05:
        return "middle"
    return f"{'top' if y < 0.5 else 'bottom'} {'left' if x < 0.5 else 'right'}"


def see(image: PIL.Image.Image) -> list[Seen]:
    """All objects of a picture, from its pixels."""
    pixels, found = np.asarray(image), []
    for part in components(foreground(image)):
        ys, xs = np.nonzero(part)
        x0, y0, x1, y1 = int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1
        side = (x1 - x0) * 64 / min(image.size)
        place = place_name((x0 + x1) / 2 / image.width, (y0 + y1) / 2 / image.height)
        shape = shape_name(part[y0:y1, x0:x1])
        size = "big" if side > 15 else "small"
        found.append(Seen(size, color_name(pixels[part]), shape, place, (x0, y0, x1, y1)))
    return found


def read_caption(caption: str) -> list[Seen]:
    """All objects that a caption names."""
    pattern = (
        r"an? (big|small) (\w+) (\w+) (?:at the|in the) (top left|top right|middle|bottom left|bottom right)"
    )
    return [Seen(*match) for match in re.findall(pattern, caption)]


def phrases(question: Question) -> tuple[str, str]:
    """What the wording was filled with, found by matching the question against its kind's wordings."""
    for wording in wordings()[question.kind]:
        pattern = re.escape(wording).replace(r"\{a\}", "(?P<a>.+)", 1).replace(r"\{a\}", "(?P=a)")
        pattern = pattern.replace(r"\{b\}", "(?P<b>.+)", 1).replace(r"\{b\}", "(?P=b)")
        match = re.fullmatch(pattern, question.text)
        if match:
            groups = match.groupdict()
            return groups.get("a", ""), groups.get("b", "")
    raise AssertionError(f"{question.text!r} has no wording of kind {question.kind!r}")


def matching(phrase: str, things: list[Seen]) -> Iterator[Seen]:
    """Things that fit a phrase such as "big red circle", "red things" or "thing at the top left"."""
    place = next((p for p in CENTRES if phrase.endswith(p)), None)
    names = re.sub(r" (at|in) the .*", "", phrase).split()
    words = {SINGULAR.get(w, w) for w in names if not w.startswith("thing")}
    for thing in things:
        if (place is None or thing.place == place) and words <= {thing.size, thing.color, thing.shape}:
            yield thing


def only(phrase: str, things: list[Seen]) -> Seen:
    """The one thing that fits; fails when none or several do."""
    fitting = list(matching(phrase, things))
    assert len(fitting) == 1, (phrase, things)
    return fitting[0]


def number_of(phrase: str, things: list[Seen]) -> int:
    """How many things fit."""
    return len(list(matching(phrase, things)))


def answer_about_shapes(question: Question, things: list[Seen]) -> str:
    """The final answer to a question of the shapes suite."""
    a, b = phrases(question)
    match question.kind:
        case "color":
            return only(a, things).color
        case "shape":
            return only(a, things).shape
        case "size":
            return only(a, things).size
        case "where":
            return only(a, things).place
        case "count":
            return str(number_of(a, things))
        case "sum":
            return str(number_of(a, things) + number_of(b, things))
        case "difference":
            return str(number_of(a, things) - number_of(b, things))
        case "left_right":
            return "left" if only(a, things).centre[0] < only(b, things).centre[0] else "right"
        case "above_below":
            return "above" if only(a, things).centre[1] < only(b, things).centre[1] else "below"
    one, two = only(a, things), only(b, things)
    assert {one.size, two.size} == {"big", "small"}
    wanted = "big" if question.kind == "bigger" else "small"
    phrase, thing = (a, one) if one.size == wanted else (b, two)
    return thing.place if phrase.startswith("thing") else phrase
