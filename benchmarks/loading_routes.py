"""The routes that `benchmarks/loading.py` compares: encoded bytes to tiles, each in one call."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch

from tessera.imaging.decode import decode_image
from tessera.imaging.grid import Tiling
from tessera.imaging.tiles import Resize, cut_tiles

ByteTiles = Callable[[bytes], npt.NDArray[np.uint8]]
FloatTiles = Callable[[bytes], torch.Tensor]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE, MAX_TILES = 448, 12
TILING = Tiling(tile_side=SIDE, max_tiles=MAX_TILES)


def published_recipe(data: bytes) -> torch.Tensor:
    """docs/facts/imaging.md step by step: each tile is cropped, resized and normalised on its own."""
    return torch.stack([_published_transform(tile) for tile in _published_tiles(data)])


def published_bytes(data: bytes) -> npt.NDArray[np.uint8]:
    """The recipe without its floats: uint8 [N, S, S, 3]."""
    return np.stack([np.asarray(tile) for tile in _published_tiles(data)])


def _published_tiles(data: bytes) -> list[PIL.Image.Image]:
    picture = PIL.Image.open(io.BytesIO(data)).convert("RGB")
    columns, rows = _published_grid(*picture.size)
    whole = picture.resize((SIDE * columns, SIDE * rows))
    tiles = []
    for number in range(columns * rows):
        left, top = number % columns * SIDE, number // columns * SIDE
        tiles.append(whole.crop((left, top, left + SIDE, top + SIDE)))
    if len(tiles) != 1:
        tiles.append(picture.resize((SIDE, SIDE)))
    return tiles


def _published_grid(width: int, height: int) -> tuple[int, int]:
    grids = {(i, j) for i in range(1, MAX_TILES + 1) for j in range(1, MAX_TILES + 1) if i * j <= MAX_TILES}
    best, nearest = (1, 1), float("inf")
    for grid in sorted(grids, key=lambda grid: grid[0] * grid[1]):
        distance = abs(width / height - grid[0] / grid[1])
        if distance < nearest:
            best, nearest = grid, distance
        elif distance == nearest and width * height > 0.5 * SIDE * SIDE * grid[0] * grid[1]:
            best = grid
    return best


def _published_transform(tile: PIL.Image.Image) -> torch.Tensor:
    """What torchvision's Resize, ToTensor and Normalize do to a PIL tile, without torchvision."""
    tile = tile.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC)
    tensor = torch.from_numpy(np.array(tile)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    mean, std = torch.tensor(MEAN).view(-1, 1, 1), torch.tensor(STD).view(-1, 1, 1)
    return tensor.clone().sub_(mean).div_(std)


def transformers_processor() -> FloatTiles | None:
    """transformers' PIL processor for InternVL, or None where it is not installed."""
    try:
        from transformers import GotOcr2ImageProcessorPil
    except ImportError:
        return None
    processor = GotOcr2ImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        crop_to_patches=True,
        min_patches=1,
        max_patches=MAX_TILES,
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    return lambda data: processor(PIL.Image.open(io.BytesIO(data)).convert("RGB"), return_tensors="pt")[
        "pixel_values"
    ]


def our_bytes(resize: Resize) -> ByteTiles:
    """Ours as the loader ships it: uint8 [N, S, S, 3]; the device normalises."""
    return lambda data: cut_tiles(decode_image(data), TILING, resize)


def our_floats(resize: Resize) -> FloatTiles:
    """Ours up to the recipe's deliverable, float32 [N, 3, S, S], with the recipe's arithmetic."""
    mean, std = torch.tensor(MEAN).view(-1, 1, 1), torch.tensor(STD).view(-1, 1, 1)

    def tensor(data: bytes) -> torch.Tensor:
        cut = torch.from_numpy(cut_tiles(decode_image(data), TILING, resize)).permute(0, 3, 1, 2)
        result = torch.empty(cut.shape, dtype=torch.float32)
        for source, target in zip(cut, result, strict=True):  # tile by tile: the next step finds it cached
            target.copy_(source).div_(255).sub_(mean).div_(std)
        return result

    return tensor
