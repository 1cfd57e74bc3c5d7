"""Masks beside a pack: which picture each belongs to, and what its pixels shall be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch

from tessera.packing.pack import Pack, split_pack
from tessera.records.masks import RecordMask


@dataclass(frozen=True)
class PlacedMask:
    """A mask and the tiles of its picture: the first of them in its record, columns and rows of the grid."""

    tile: int
    columns: int
    rows: int
    mask: RecordMask


@dataclass(frozen=True, eq=False)
class LinkTarget:
    """A mask of a batch. tile: the first of its picture in the pack. pixels: float32 [h, w], shares."""

    tile: int
    columns: int
    rows: int
    pixels: torch.Tensor


@dataclass(frozen=True, eq=False)
class LinkBatch:
    """A pack, and for each of its samples the masks of its links, in order."""

    pack: Pack
    targets: tuple[tuple[LinkTarget, ...], ...]

    @property
    def every(self) -> list[LinkTarget]:
        """All masks, in the order of the links in the pack."""
        return [target for own in self.targets for target in own]

    def split(self) -> list[LinkBatch]:
        """One for each sample."""
        starts = np.cumsum([0, *self.pack.tiles_per_sample]).tolist()
        return [
            LinkBatch(pack, (tuple(_moved(target, -start) for target in own),))
            for pack, own, start in zip(split_pack(self.pack), self.targets, starts, strict=False)
        ]


@dataclass(frozen=True)
class MaskTable:
    """The masks of every record by its key. side: pixels of a mask along one side of a tile."""

    placed: Mapping[str, tuple[PlacedMask, ...]]
    side: int

    def attach(self, pack: Pack) -> LinkBatch:
        """The pack with the masks of its samples. A sample of padding has none."""
        starts = np.cumsum([0, *pack.tiles_per_sample]).tolist()
        targets = []
        for key, start in zip(pack.keys, starts, strict=False):
            own = [self._target(placed, start) for placed in self.placed.get(key, ())]
            targets.append(tuple(own))
        return LinkBatch(pack, tuple(targets))

    def _target(self, placed: PlacedMask, start: int) -> LinkTarget:
        size = self.side * placed.columns, self.side * placed.rows
        pixels = torch.from_numpy(covered(placed.mask.pixels(), size))
        return LinkTarget(start + placed.tile, placed.columns, placed.rows, pixels)


def covered(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Mask bool [H, W] in another size (width, height): float32 [h, w], the share of each pixel covered."""
    whole = PIL.Image.fromarray(mask.astype(np.float32))
    return np.array(whole.resize(size, PIL.Image.Resampling.BOX), dtype=np.float32)


def by_grid(targets: Sequence[LinkTarget]) -> dict[tuple[int, int], list[int]]:
    """Columns and rows -> the numbers of the masks whose pictures are cut so."""
    groups: dict[tuple[int, int], list[int]] = {}
    for number, target in enumerate(targets):
        groups.setdefault((target.columns, target.rows), []).append(number)
    return groups


def _moved(target: LinkTarget, tiles: int) -> LinkTarget:
    return LinkTarget(target.tile + tiles, target.columns, target.rows, target.pixels)
