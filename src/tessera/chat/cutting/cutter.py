"""How the pictures and clips of a conversation are cut into tiles."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import PIL.Image

from tessera.chat.clip_frames import clip_frames
from tessera.chat.message import Image, Medium, PictureSource, Video
from tessera.imaging.decode import decode_image, name_of, read_size
from tessera.imaging.grid import Tiling, choose_grid, count_tiles, tiles_problem
from tessera.imaging.pictures.reading import PUBLISHED, PictureReading
from tessera.imaging.tiles import Resize, cut_tiles
from tessera.imaging.video import convert_frames


@dataclass(frozen=True)
class CutPicture:
    """A picture as it is cut: width and height in pixels, columns and rows of its grid, tiles in all."""

    source: PictureSource
    reading: PictureReading
    size: tuple[int, int]
    columns: int
    rows: int
    tiles: int


@dataclass(frozen=True)
class Cutter:
    """Settings by which media become tiles: those of `Encoder`. `share`: tiles that a picture may take where
    it has no limit of its own."""

    tiling: Tiling
    frames: int
    max_frames: int
    resize: Resize
    pictures: PictureReading

    def _tilings(self, part: Image, share: int) -> list[tuple[PictureSource, Tiling]]:
        """The part's pictures, each with how it is cut."""
        limit = share if part.max_tiles is None else part.max_tiles
        if part.tiles is not None and (problem := tiles_problem(part.tiles)):
            raise ValueError(f"image.tiles: {problem}")
        if part.tiles is not None and not part.joined:
            # A grid that wins among more candidates wins among those of its own area and below, too: the
            # number of tiles alone tells which grid the caller's `max_num` gave.
            limit = part.tiles - 1 if self.tiling.thumbnail and part.tiles > 1 else part.tiles
        first = self.tiling.limited(limit, "image.max_tiles")
        least = part.joined_tiles
        rest = first if least is None else self.tiling.limited(least, "image.joined_tiles")
        return [(part.source, first), *((source, rest) for source in part.joined)]

    def cuts(self, part: Image, share: int) -> list[CutPicture]:
        """How the part's pictures are cut, joined ones apart; headers only."""
        reading = part.reading or self.pictures
        found = []
        for source, tiling in self._tilings(part, share):
            size = read_size(source, reading=reading)
            found.append(
                CutPicture(source, reading, size, *choose_grid(*size, tiling), count_tiles(*size, tiling))
            )
        return found

    def grid(self, part: Medium, share: int) -> tuple[int, int] | None:
        """(columns, rows) of a single picture, None for other media; headers only."""
        if not isinstance(part, Image) or part.joined:
            return None
        size = read_size(part.source, reading=part.reading or self.pictures)
        ((_, tiling),) = self._tilings(part, share)
        return choose_grid(*size, tiling)

    def count(self, part: Image | Video, share: int) -> tuple[int, ...]:
        """Tiles of a picture, or of every frame of a clip; headers only. ValueError as `cut` raises it."""
        if isinstance(part, Video):
            return (1,) * len(clip_frames(part, self.frames, self.max_frames))
        reading = part.reading or self.pictures
        counts = [
            count_tiles(*read_size(source, reading=reading), tiling)
            for source, tiling in self._tilings(part, share)
        ]
        return (_expected(part, sum(counts)),)

    def cut(self, part: Image | Video, share: int) -> list[npt.NDArray[np.uint8]]:
        """Tiles uint8 [n, S, S, 3] of a picture, or of every frame of a clip. ValueError for one that can't
        be cut into the number of tiles that was asked for."""
        if isinstance(part, Image):
            each = self._tilings(part, share)
            tiles = [self._tiles(source, tiling, part.reading) for source, tiling in each]
            _expected(part, sum(map(len, tiles)))
            return [np.concatenate(tiles) if part.joined else tiles[0]]
        single = self.tiling.model_copy(update={"min_tiles": 1, "max_tiles": 1, "thumbnail": False})
        indices = clip_frames(part, self.frames, self.max_frames)
        return convert_frames(
            part.source,
            indices,
            lambda frame: self._tiles(frame, single, PUBLISHED),
            reading=part.reading or self.pictures,
        )

    def _tiles(
        self, source: PictureSource, tiling: Tiling, reading: PictureReading | None = None
    ) -> npt.NDArray[np.uint8]:
        side, reading = self.tiling.tile_side, reading or self.pictures
        whole = isinstance(source, PIL.Image.Image) and source.size == (side, side) and source.mode == "RGB"
        if whole and tiling.min_tiles == 1 and reading == PUBLISHED:
            return np.asarray(source)[None]  # one tile, nothing to resize
        return cut_tiles(decode_image(source, reading=reading), tiling, self.resize)


def _expected(part: Image, count: int) -> int:
    """The count, or ValueError when the caller asked for another."""
    if part.tiles is not None and part.tiles != count:
        raise ValueError(
            f"image.tiles: {name_of(part.source)} cannot be cut into {part.tiles} tiles, it gives {count}; "
            "leave num_patches_list out, or take the counts from the same picture and thumbnail rule"
        )
    return count
