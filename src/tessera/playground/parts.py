"""What a drawn scene is made of: marked regions, questions with known answers, media and a caption."""

from dataclasses import dataclass

from tessera.chat.message import Medium

UnitBox = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of width and height, 0..1, right and bottom exclusive."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the first picture with its words, such as "big red circle" or "letter c"."""

    phrase: str
    box: UnitBox


@dataclass(frozen=True, slots=True)
class Question:
    """A question whose answer is known.

    `answer` is the text to learn and may hold written steps; `final` is the value to grade. `images` are
    the indices of the media asked about, `box` is what the question of a box asks for.
    """

    task: str
    kind: str
    text: str
    answer: str
    final: str
    images: tuple[int, ...] = (0,)
    box: UnitBox | None = None

    @property
    def in_caption(self) -> bool:
        """Whether the caption alone gives the answer: it names no boxes."""
        return self.box is None


@dataclass(frozen=True, slots=True)
class Scene:
    """Pictures, sounds or a clip with everything that is known about them; equal seeds give equal scenes."""

    suite: str
    media: tuple[Medium, ...]
    caption: str
    regions: tuple[Region, ...]
    questions: tuple[Question, ...]


def box_text(box: UnitBox) -> str:
    """The official form `[[x0, y0, x1, y1]]` in integers 0..1000 of the original picture
    (docs/facts/data.md)."""
    x0, y0, x1, y1 = (round(value * 1000) for value in box)
    return f"[[{x0}, {y0}, {x1}, {y1}]]"
