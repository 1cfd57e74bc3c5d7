"""Pictures that become one tile: padded as LLaVA pads, cropped as CLIP's processor of transformers crops."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from transformers import CLIPImageProcessor

from tessera.imaging.grid import Tiling, choose_grid
from tessera.imaging.tiles import cut_tiles

SIZES = [(40, 40), (57, 33), (33, 58), (400, 31), (28, 28)]
FILL = (122, 116, 104)


def drawn(width: int, height: int) -> PIL.Image.Image:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


def one(square: str) -> Tiling:
    fields = {"tile_side": 28, "max_tiles": 1, "thumbnail": False, "dynamic": False, "fill": FILL}
    return Tiling.model_validate({**fields, "square": square})


@pytest.mark.parametrize("size", SIZES)
def test_padding_puts_the_picture_in_the_middle(size: tuple[int, int]) -> None:
    picture, side = drawn(*size), max(size)
    square = np.full((side, side, 3), FILL, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = np.asarray(picture)
    expected = np.asarray(PIL.Image.fromarray(square).resize((28, 28), PIL.Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(cut_tiles(picture, one("pad"))[0], expected)


@pytest.mark.parametrize("size", SIZES)
def test_cropping_is_that_of_the_processor(size: tuple[int, int]) -> None:
    picture = drawn(*size)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    processor = CLIPImageProcessor(size=28, crop_size=28, image_mean=mean, image_std=std)
    pixels = np.asarray(processor(picture, return_tensors="np")["pixel_values"][0])
    ours = (cut_tiles(picture, one("crop"))[0] / 255 - mean) / std
    # The processor may resize on tensors, whose rounding differs by a grey level here and there.
    difference = np.abs(pixels.transpose(1, 2, 0) - ours) * std * 255
    assert difference.max() < 1.5 and difference.mean() < 0.3


def test_squares_that_would_take_all_memory_are_refused_by_their_header() -> None:
    with pytest.raises(ValueError, match="scale it down"):
        choose_grid(65_000, 1, one("pad"))
    with pytest.raises(ValueError, match="scale it down"):
        choose_grid(1, 2_000_000, one("crop"))
    assert choose_grid(65_000, 1, one("squeeze")) == (1, 1)


def test_a_square_goes_with_one_tile() -> None:
    with pytest.raises(ValueError, match="dynamic = False"):
        Tiling(square="pad")
    with pytest.raises(ValueError, match="fill = "):
        Tiling(dynamic=False, square="pad", fill=(0, 0, 300))
