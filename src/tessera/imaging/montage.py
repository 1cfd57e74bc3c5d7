"""One picture that shows how another is cut: the grid drawn over it, its tiles, its thumbnail."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from tessera.imaging.fast_resize.bicubic import Pixels
from tessera.imaging.grid import Tiling, choose_grid
from tessera.imaging.tiles import cut_tiles

PAPER, INK, GRID, SEAM = (255, 255, 255), (40, 44, 52), (230, 57, 70), (205, 211, 220)
MARGIN, GAP, CAPTION = 24, 6, 30  # pixels
PANEL = 560  # longest side of the picture and of the tiles beside it, in pixels

Panel = tuple[str, PIL.Image.Image]


def draw_montage(image: PIL.Image.Image, tiling: Tiling) -> PIL.Image.Image:
    """The RGB picture with its grid, its tiles as a model gets them and the thumbnail, side by side."""
    columns, rows = choose_grid(image.width, image.height, tiling)
    count = columns * rows
    tiles = cut_tiles(image, tiling)
    side = max(16, (PANEL - GAP * (max(columns, rows) - 1)) // max(columns, rows))
    panels: list[Panel] = [
        (f"picture {image.width} x {image.height}", _with_grid(image, columns, rows)),
        (f"{columns} x {rows} tiles of {tiling.tile_side} px", _laid_out(tiles[:count], columns, side)),
    ]
    if len(tiles) > count:
        panels.append(("thumbnail", _laid_out(tiles[count:], 1, max(side, PANEL // 3), first=count + 1)))
    return _side_by_side(panels)


def _with_grid(image: PIL.Image.Image, columns: int, rows: int) -> PIL.Image.Image:
    """The picture at panel size with the lines along which the resized one is cut."""
    scale = PANEL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    panel = image.resize(size, PIL.Image.Resampling.BICUBIC)
    draw = PIL.ImageDraw.Draw(panel)
    width, height = size[0] - 1, size[1] - 1
    for x in (round(width * column / columns) for column in range(columns + 1)):
        draw.line([(x, 0), (x, height)], fill=GRID, width=2)
    for y in (round(height * row / rows) for row in range(rows + 1)):
        draw.line([(0, y), (width, y)], fill=GRID, width=2)
    return panel


def _laid_out(tiles: Pixels, columns: int, side: int, first: int = 1) -> PIL.Image.Image:
    """Tiles [N, S, S, 3] shown at `side` pixels in rows of `columns`, numbered in the model's order."""
    rows = -(-len(tiles) // columns)
    size = (columns * (side + GAP) - GAP, rows * (side + GAP) - GAP)
    panel = PIL.Image.new("RGB", size, SEAM)
    draw = PIL.ImageDraw.Draw(panel)
    font = PIL.ImageFont.load_default(max(11, min(16, side // 5)))
    for index, tile in enumerate(np.asarray(tiles)):
        corner = (index % columns * (side + GAP), index // columns * (side + GAP))
        # Small tiles keep their hard pixels, so that one sees what the model sees.
        method = PIL.Image.Resampling.NEAREST if side > len(tile) else PIL.Image.Resampling.BICUBIC
        panel.paste(PIL.Image.fromarray(tile).resize((side, side), method), corner)
        label, place = str(first + index), (corner[0] + 4, corner[1] + 2)
        draw.rectangle(draw.textbbox(place, label, font=font), fill=PAPER)
        draw.text(place, label, fill=INK, font=font)
    return panel


def _side_by_side(panels: list[Panel]) -> PIL.Image.Image:
    font = PIL.ImageFont.load_default(18)
    widths = [max(panel.width, int(font.getlength(caption)) + 1) for caption, panel in panels]
    width = sum(widths) + MARGIN * (len(panels) + 1)
    height = max(panel.height for _, panel in panels) + CAPTION + 2 * MARGIN
    sheet = PIL.Image.new("RGB", (width, height), PAPER)
    draw = PIL.ImageDraw.Draw(sheet)
    left = MARGIN
    for (caption, panel), panel_width in zip(panels, widths, strict=True):
        draw.text((left, MARGIN), caption, fill=INK, font=font)
        sheet.paste(panel, (left, MARGIN + CAPTION))
        left += panel_width + MARGIN
    return sheet
