"""What a page is made of: frozen values without HTML. Each names the template that draws it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import PIL.Image

from tessera.pages.chart import Chart


@dataclass(frozen=True)
class BarCell:
    """A cell with a bar as long as `share`, 0 to 1, and its text.

    interval: bounds of the share, 0 to 1, drawn over the bar; note: small print; over: above a limit.
    """

    share: float
    text: str
    note: str = ""
    interval: tuple[float, float] | None = None
    over: bool = False


TableCell: TypeAlias = str | int | BarCell
"""Whole numbers are written with separators."""
TableRow: TypeAlias = Sequence[TableCell]


@dataclass(frozen=True)
class Table:
    """Rows of cells below a head; the first cell names its row. A table without rows is not drawn.

    strong: names of the rows that sum up; words: the cells hold sentences, which wrap.
    """

    head: Sequence[str]
    rows: Sequence[TableRow]
    title: str = ""
    strong: Collection[str] = ()
    words: bool = False
    template: ClassVar[str] = "table.html"


def histogram(title: str, labels: Sequence[str], counts: Sequence[int]) -> Table:
    """A table of bars. The last bar holds what is above the limit; empty bars at both ends are left out."""
    most = max(*counts, 1)
    filled = [number for number, count in enumerate(counts) if count] or [0]
    last = len(counts) - 1
    rows = [
        (labels[n], BarCell(counts[n] / most, f"{counts[n]:,}", over=n == last))
        for n in range(filled[0], filled[-1] + 1)
    ]
    return Table((), rows, title)


@dataclass(frozen=True)
class PackedSample:
    """A sample in a pack: its name, its size in tokens and tiles, the number of its source.

    branches: of a sample that ends in several answers, the tokens of each.
    """

    name: str
    tokens: int
    tiles: int = 0
    source: int = 0
    branches: tuple[int, ...] = ()


@dataclass(frozen=True)
class PackDrawing:
    """Packs as rows: samples as long as their tokens, below them as long as their tiles.

    max_tokens, max_tiles: what a pack can hold, no tiles are drawn for 0; sources: names for the colours.
    Raises ValueError for a pack with more tokens than it can hold.
    """

    packs: Sequence[Sequence[PackedSample]]
    max_tokens: int
    max_tiles: int = 0
    sources: Sequence[str] = ()
    template: ClassVar[str] = "packs.html"

    def __post_init__(self) -> None:
        longest = max((sum(sample.tokens for sample in pack) for pack in self.packs), default=0)
        if longest > self.max_tokens:
            raise ValueError(
                f"packs: one has {longest} tokens, more than the capacity {self.max_tokens}; "
                "pass the capacity they were planned for"
            )


@dataclass(frozen=True)
class Piece:
    """A token (or the few that share a character, or the slots of a picture) and its loss weight."""

    text: str
    ids: tuple[int, ...]
    weight: float
    kind: Literal["text", "control", "slots"] = "text"


@dataclass(frozen=True)
class NamedBox:
    """A named box; corners in thousandths of the picture: left, top, right, bottom."""

    name: str
    corners: tuple[float, float, float, float]


@dataclass(frozen=True)
class ShownMedia:
    """A picture (None for a clip) with its boxes, and what the model gets of it: tiles or frames.

    count: all tiles, of which `tiles` are some; columns: of their grid, 0 for none. height: pixels on the
    page of a drawn picture whose own pixels shall be visible; None shows it as large as it is.
    """

    name: str = ""
    picture: PIL.Image.Image | None = None
    tiles: tuple[PIL.Image.Image, ...] = ()
    count: int = 0
    columns: int = 0
    boxes: tuple[NamedBox, ...] = ()
    height: int | None = None


@dataclass(frozen=True)
class MarkedText:
    """A text in pieces, some of them marked, below a line that names it; good or not."""

    name: str
    pieces: Sequence[tuple[bool, str]]
    good: bool


@dataclass(frozen=True)
class SampleCard:
    """One sample: a line of facts, media, lines of (kind, text), tokens, texts side by side.

    A line's kind is "", "good" or "bad", behind "turn" where its line breaks are kept. tags: what the page's
    filters look at, in their order.
    """

    head: Sequence[str]
    media: Sequence[ShownMedia] = ()
    lines: Sequence[tuple[str, str]] = ()
    pieces: Sequence[Piece] = ()
    sides: Sequence[MarkedText] = ()
    tags: Sequence[str] = ()


@dataclass(frozen=True)
class SampleCards:
    """Samples one below the other, or several in a row when they are narrow."""

    cards: Sequence[SampleCard]
    narrow: bool = False
    template: ClassVar[str] = "cards.html"


@dataclass(frozen=True)
class TextComparison:
    """Texts side by side with what differs marked, below a line of facts, what was asked, and media.

    tags: what the page's filters look at, in their order.
    """

    head: Sequence[str]
    asked: str
    sides: Sequence[MarkedText]
    media: Sequence[ShownMedia] = ()
    tags: Sequence[str] = ()
    template: ClassVar[str] = "comparison.html"


@dataclass(frozen=True)
class SideBySide:
    """Blocks side by side where the screen is wide enough."""

    blocks: Sequence[PageBlock]
    template: ClassVar[str] = "side_by_side.html"


PageBlock: TypeAlias = "str | Table | Chart | PackDrawing | SampleCards | TextComparison | SideBySide"
"""Plain text is a paragraph."""
