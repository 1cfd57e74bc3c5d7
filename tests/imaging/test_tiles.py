"""Tiles against the published recipe, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.imaging.decode import decode_image
from tessera.imaging.grid import Tiling, count_tiles
from tessera.imaging.tiles import cut_tiles
from tests.imaging.published import published_tiles

PICTURES = [
    "bilevel_500x500.png", "chart_1600x1277.jpg", "cmyk_100x100.jpg", "coffee_600x400.png",
    "doc_math_1920x2640.jpg", "doc_print_878x1280.jpg", "exif_orientation3_512x512.png",
    "exif_orientation6_128x128.jpg", "flower_480x360.webp", "gray_512x512.png", "gray_page_384x191.png",
    "logo_rgba_500x500.png", "palette_4x4.png", "panda_1000x1000.jpg", "pugs_398x180.jpg",
    "receipt_800x1180.jpg", "red_panda_1000x747.jpg", "red_panda_1920x1200.jpg", "red_panda_889x500.jpg",
    "screenshot_desktop_2560x1440.jpg", "screenshot_mobile_1080x2400_rgba.png", "shop_sign_zh_1920x1080.jpg",
    "sign_zh_en_894x1280.jpg", "small_gray_102x102.png", "very_tall_1289x5944.png", "very_wide_2550x292.png",
    "wide_diagram_1762x281.png",
]  # fmt: skip


def noise(width: int, height: int, levels: int = 256, seed: int = 0) -> PIL.Image.Image:
    values = np.random.default_rng(seed).integers(0, levels, (height, width, 3)) * (255 // (levels - 1))
    return PIL.Image.fromarray(values.astype(np.uint8))


@pytest.mark.parametrize("name", PICTURES)
def test_real_pictures_have_the_recipe_pixels(shared_data: Path, name: str) -> None:
    path = shared_data / "images" / name
    with PIL.Image.open(path) as opened:
        wanted = published_tiles(opened.convert("RGB"))
    picture = decode_image(path)
    exact = cut_tiles(picture, Tiling())
    assert exact.dtype == np.uint8
    assert np.array_equal(exact, wanted)
    fast = cut_tiles(picture, Tiling(), resize="fast")
    assert np.abs(fast.astype(np.int16) - wanted).max() <= 1


@given(
    st.integers(1, 500), st.integers(1, 500), st.integers(1, 6), st.sampled_from([16, 64]), st.booleans(),
    st.sampled_from([2, 4, 256]), st.integers(0, 5),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_size_has_the_recipe_pixels(
    width: int, height: int, limit: int, side: int, thumbnail: bool, levels: int, seed: int
) -> None:
    picture = noise(width, height, levels, seed)
    tiling = Tiling(tile_side=side, max_tiles=limit, thumbnail=thumbnail)
    tiles = cut_tiles(picture, tiling)
    assert np.array_equal(tiles, published_tiles(picture, 1, limit, side, thumbnail))
    assert len(tiles) == count_tiles(width, height, tiling)


def test_tiles_run_row_by_row_with_the_thumbnail_last() -> None:
    side = 8
    shades = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    picture = np.repeat(np.repeat(shades, side, axis=0), side, axis=1)[..., None].repeat(3, axis=2)
    tiles = cut_tiles(PIL.Image.fromarray(picture), Tiling(tile_side=side, max_tiles=6))
    assert [int(tile[0, 0, 0]) for tile in tiles[:6]] == [0, 40, 80, 120, 160, 200]
    assert len(tiles) == 7
    assert tiles[6].std() > 0


def test_one_tile_without_dynamic_tiling() -> None:
    picture = noise(300, 100)
    tiles = cut_tiles(picture, Tiling(tile_side=32, dynamic=False))
    assert np.array_equal(tiles[0], np.asarray(picture.resize((32, 32), PIL.Image.Resampling.BICUBIC)))
    assert len(tiles) == 1


def test_other_modes_and_unknown_resizes_are_refused() -> None:
    with pytest.raises(ValueError, match="mode is L"):
        cut_tiles(PIL.Image.new("L", (4, 4)), Tiling())
    with pytest.raises(ValueError, match="'quick' is unknown"):
        cut_tiles(noise(4, 4), Tiling(), resize="quick")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["receipt_800x1180.jpg", "very_wide_2550x292.png", "panda_1000x1000.jpg"])
def test_transformers_processor_agrees(shared_data: Path, name: str) -> None:
    """Its PIL processor cuts the same tiles; it normalises too, which we undo."""
    transformers = pytest.importorskip("transformers")
    processor = transformers.GotOcr2ImageProcessorPil(
        size={"height": 448, "width": 448},
        crop_to_patches=True,
        min_patches=1,
        max_patches=12,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
    )
    picture = decode_image(shared_data / "images" / name)
    theirs = np.asarray(processor(picture, return_tensors="np")["pixel_values"])
    levels = (theirs * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    assert np.array_equal(cut_tiles(picture, Tiling()), levels)
