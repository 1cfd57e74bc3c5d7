"""Cached marks and the canvas they are stamped on: shapes, glyphs, backgrounds, noise.

Masks are drawn once, four times too large, and scaled down, so that a scene costs only a few pastes.
All positions are integers: Pillow misplaces text at fractional coordinates.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from random import Random

import PIL.Image
from PIL import ImageDraw, ImageFont

from tessera.playground.parts import UnitBox

Rgb = tuple[int, int, int]
PixelBox = tuple[int, int, int, int]

COLORS: dict[str, Rgb] = {
    "red": (222, 28, 36),
    "green": (24, 158, 58),
    "blue": (40, 84, 235),
    "yellow": (246, 208, 20),
    "purple": (158, 52, 190),
    "orange": (246, 128, 16),
}
COLOR_NAMES = tuple(COLORS)
SHAPES = ("circle", "square", "triangle", "cross", "ring")
LIGHT: tuple[Rgb, ...] = ((255, 255, 255), (236, 236, 236), (222, 230, 240))
DARK: tuple[Rgb, ...] = ((0, 0, 0), (32, 32, 32), (20, 26, 44))
DARK_INK: tuple[Rgb, ...] = ((0, 0, 0), (150, 0, 0), (0, 80, 20), (10, 20, 150), (90, 0, 110))
LIGHT_INK: tuple[Rgb, ...] = (
    (255, 255, 255), (255, 225, 60), (130, 245, 140), (130, 210, 255), (255, 180, 190),
)  # fmt: skip
OVERSAMPLE = 4
FAINT = 48
"""Glyph pixels covered by less than this (of 255) do not count as ink at an edge."""


class Canvas:
    """A picture measured in canvas units: 64 units each way, whatever its size in pixels.

    Its plain background is light or dark (`dark`), equally often; `rng` draws everything on it, too.
    """

    def __init__(self, size: tuple[int, int], level: int, rng: Random) -> None:
        self.width, self.height = size
        self.scale_x, self.scale_y = self.width / 64, self.height / 64
        self.unit = min(self.scale_x, self.scale_y)
        self.level, self.rng = level, rng
        self.dark = rng.random() < 0.5
        self.image = PIL.Image.new("RGB", size, rng.choice(DARK if self.dark else LIGHT))

    def share(self, box: PixelBox) -> UnitBox:
        """A pixel box (right and bottom exclusive) as shares of the picture."""
        x0, y0, x1, y1 = box
        return (x0 / self.width, y0 / self.height, x1 / self.width, y1 / self.height)

    def stamp(self, mask: PIL.Image.Image, color: Rgb, x: int, y: int) -> None:
        """Paste a colour through a mask with its left upper corner at pixel (x, y)."""
        self.image.paste(color, (x, y), mask)

    def shade(self, name: str) -> Rgb:
        """A colour, a little lighter or darker, so that no name is one single value."""
        shift = int(self.rng.random() * 25) - 12
        red, green, blue = (min(255, max(0, part + shift)) for part in COLORS[name])
        return red, green, blue

    def finished(self) -> PIL.Image.Image:
        """A copy of the picture; at level 3 with grey noise of at most an eighth of the full range."""
        if self.level < 3:
            return self.image.copy()
        noise = PIL.Image.frombytes("L", self.image.size, self.rng.randbytes(self.width * self.height))
        return PIL.Image.blend(self.image, noise.convert("RGB"), 0.14)


@cache
def shape_mask(shape: str, side: int) -> PIL.Image.Image:
    """Mode "L" mask, `side` x `side` pixels, of a shape that touches all four edges."""
    big = side * OVERSAMPLE
    mask = PIL.Image.new("L", (big, big))
    _draw_shape(ImageDraw.Draw(mask), shape, big)
    return mask.resize((side, side), PIL.Image.Resampling.BOX)


def _draw_shape(draw: ImageDraw.ImageDraw, shape: str, side: int) -> None:
    end = side - 1
    if shape == "square":
        draw.rectangle((0, 0, end, end), fill=255)
    elif shape == "triangle":
        draw.polygon(((end / 2, 0), (end, end), (0, end)), fill=255)
    elif shape == "cross":
        low, high = round(side * 0.34), round(side * 0.66)
        draw.rectangle((low, 0, high, end), fill=255)
        draw.rectangle((0, low, end, high), fill=255)
    else:
        draw.ellipse((0, 0, end, end), fill=255)
        if shape == "ring":
            hole = round(side * 0.27)
            draw.ellipse((hole, hole, end - hole, end - hole), fill=0)


@dataclass(frozen=True, slots=True)
class Glyph:
    """One drawn character: its tight mask and the mask's top edge relative to the base line (pixels)."""

    mask: PIL.Image.Image
    top: int

    @property
    def bottom(self) -> int:
        """Lower edge relative to the base line."""
        return self.top + self.mask.height


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ValueError("Pillow's default font cannot be scaled: install a Pillow with FreeType support")
    return font


@cache
def glyph(character: str, size: int) -> Glyph:
    """A bold character at a font size in pixels."""
    base, side = size + 8, 2 * size + 16
    canvas = PIL.Image.new("L", (side, side))
    bold = max(1, round(size / 34))
    ImageDraw.Draw(canvas).text((8, base), character, 255, _font(size), anchor="ls", stroke_width=bold)
    # The faintest rim of the strokes is cut off, so that boxes are what an eye would draw.
    box = canvas.point(lambda level: 255 * (level >= FAINT)).getbbox()
    if box is None:
        raise ValueError(f"character {character!r} draws nothing: use visible characters only")
    return Glyph(canvas.crop(box), box[1] - base)


@lru_cache(maxsize=8192)
def text_extent(text: str, size: int) -> tuple[int, int, int]:
    """Width, top and bottom of a word in pixels, top and bottom relative to the base line."""
    glyphs = [glyph(character, size) for character in text]
    width = sum(g.mask.width for g in glyphs) + letter_gap(size) * (len(text) - 1)
    return width, min(g.top for g in glyphs), max(g.bottom for g in glyphs)


def letter_gap(size: int) -> int:
    """Free pixels between two letters."""
    return max(2, size // 12)
