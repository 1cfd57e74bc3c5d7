"""500 damaged pictures and clips: each is sound, and then usable, or a fault with a reason."""

import io
import random
from functools import cache
from pathlib import Path

import av
import numpy as np
import PIL.features
import PIL.Image
import pytest

from tessera.chat.message import Image, Video
from tessera.imaging.decode import decode_image
from tessera.imaging.grid import Tiling
from tessera.imaging.tiles import cut_tiles
from tessera.imaging.video import read_frames
from tessera.records.media import media_problem
from tests.mutation.damage import damage_bytes
from tests.mutation.guard import each, guarded

PICTURES = {
    "jpg": ("JPEG", "RGB"), "png": ("PNG", "P"), "16.png": ("PNG", "I;16"), "alpha.png": ("PNG", "RGBA"),
    "webp": ("WEBP", "RGB"), "gif": ("GIF", "P"), "tif": ("TIFF", "RGB"), "float.tif": ("TIFF", "F"),
    "bmp": ("BMP", "RGB"), "ppm": ("PPM", "RGB"), "ico": ("ICO", "RGBA"), "tga": ("TGA", "RGB"),
    "jp2": ("JPEG2000", "RGB"), "avif": ("AVIF", "RGB"),
}  # fmt: skip
CLIPS = {
    "mp4": "libx264",
    "mkv": "libx264",
    "webm": "libvpx-vp9",
    "avi": "mpeg4",
    "mov": "mpeg4",
    "ts": "libx264",
}


@cache
def picture(kind: str) -> bytes:
    """A small sound picture of a kind."""
    form, mode = PICTURES[kind]
    rng = np.random.default_rng(0)
    if mode == "F":
        image = PIL.Image.fromarray(rng.random((24, 40), dtype=np.float32))
    elif mode == "I;16":
        image = PIL.Image.fromarray(rng.integers(0, 65536, (24, 40), dtype=np.uint16))
    else:
        image = PIL.Image.fromarray(rng.integers(0, 256, (24, 40, 3), dtype=np.uint8)).convert(mode)
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


@cache
def clip(kind: str) -> bytes:
    """A sound clip of six frames."""
    out = io.BytesIO()
    with av.open(out, "w", format={"mkv": "matroska", "ts": "mpegts"}.get(kind, kind)) as container:
        stream = container.add_stream(CLIPS[kind], rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(6):
            pixels = np.full((32, 48, 3), number * 40, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@each(350)
def test_damaged_pictures(root: Path, number: int) -> None:
    rng = random.Random(number)
    kind = rng.choice(
        [k for k, (form, _) in PICTURES.items() if form != "AVIF" or PIL.features.check("avif")]
    )
    data = damage_bytes(picture(kind), rng)
    file = root / f"damaged.{kind}"
    file.write_bytes(data)
    for source in (file, data):
        with guarded(root):
            if media_problem(Image(source), headers_only=False) is None:
                tiles = cut_tiles(decode_image(source), Tiling(tile_side=28, max_tiles=6))
                assert 0 < len(tiles) <= 7


@each(150)
def test_damaged_clips(root: Path, number: int) -> None:
    rng = random.Random(number)
    kind = rng.choice(list(CLIPS))
    file = root / f"damaged.{rng.choice(list(CLIPS))}"  # the content decides, not the name
    file.write_bytes(damage_bytes(clip(kind), rng))
    with guarded(root):
        if media_problem(Video(file), headers_only=False) is None:
            assert read_frames(file, [0])
