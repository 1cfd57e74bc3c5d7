"""Where camera views stand in what the model sees: pictures one by one, or one mosaic with names drawn in.

The mosaic is that of Mini-InternVL's adaptation to DriveLM: views of 896 x 448 pixels in three columns, front
row above back row, the name in the upper left corner. Coordinates are those of the whole mosaic.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from tessera.annotations.coordinates import Scaled, Size, scale
from tessera.annotations.pictures import Picture, Pictures
from tessera.annotations.rejects import Fault, Rejected
from tessera.imaging.decode import DEFAULT_LIMITS, decode_image

NUSCENES = (
    "CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT",
)  # fmt: skip
"""The six views of nuScenes in the order of the published mosaic."""
MAGENTA = (255, 0, 255)
LETTER_SHARE = 50 / 448
"""Height of the letters as a share of the view's height."""
QUALITY = 95
"""JPEG quality of written mosaics."""


@dataclass(frozen=True)
class Cell:
    """Where a view stands: offset and size in the shown picture, in pixels, and that picture's size."""

    picture: Picture = field(repr=False)
    left: int
    top: int
    size: Size
    shown: Size

    def scaled(self, points: Sequence[float]) -> Scaled:
        """Points x, y, … in pixels of the view on the shown picture's scale of 1000."""
        moved = [
            (self.left, self.top)[number % 2] + value / self.picture.size[number % 2] * self.size[number % 2]
            for number, value in enumerate(points)
        ]
        return scale(moved, self.shown)


def ordered(views: Mapping[str, Picture]) -> dict[str, Picture]:
    """nuScenes' views in the published order; others as they are given."""
    if set(views) <= set(NUSCENES):
        return {name: views[name] for name in NUSCENES if name in views}
    return dict(views)


def single_cells(views: Mapping[str, Picture]) -> dict[str, Cell]:
    """Every view is a picture of its own."""
    return {name: Cell(picture, 0, 0, picture.size, picture.size) for name, picture in views.items()}


def mosaic_cells(views: Mapping[str, Picture], columns: int, size: Size) -> dict[str, Cell]:
    """Every view has a place in a grid of cells of `size`, row by row. Rejected when it is too large."""
    columns = min(columns, len(views))
    shown = (columns * size[0], -(-len(views) // columns) * size[1])
    if shown[0] * shown[1] > DEFAULT_LIMITS.max_pixels:
        detail = f"a mosaic of {len(views)} views has {shown[0]} x {shown[1]} pixels; take a smaller cell"
        raise Rejected(Fault.BAD_ROW, detail)
    return {
        name: Cell(picture, number % columns * size[0], number // columns * size[1], size, shown)
        for number, (name, picture) in enumerate(views.items())
    }


def mosaic_name(cells: Mapping[str, Cell]) -> str:
    """A file name that stands for these views in this grid."""
    text = "\n".join(f"{name} {cell.picture.path} {cell}" for name, cell in cells.items())
    return f"mosaics/{hashlib.blake2b(text.encode(), digest_size=10).hexdigest()}.jpg"


def draw_mosaic(pictures: Pictures, cells: Mapping[str, Cell], file: Path) -> None:
    """Write the mosaic of the views as JPEG. Rejected when a view can't be decoded."""
    first = next(iter(cells.values()))
    sheet = PIL.Image.new("RGB", first.shown)
    pen = PIL.ImageDraw.Draw(sheet)
    letters = PIL.ImageFont.load_default(max(8, round(first.size[1] * LETTER_SHARE)))
    for name, cell in cells.items():
        try:
            view = decode_image(pictures.file(cell.picture))
        except (ValueError, OSError) as error:
            raise Rejected(Fault.BROKEN_PICTURE, str(error)) from error
        sheet.paste(view.resize(cell.size, PIL.Image.Resampling.BICUBIC), (cell.left, cell.top))
        pen.text((cell.left, cell.top), name, fill=MAGENTA, font=letters)
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file, quality=QUALITY)
