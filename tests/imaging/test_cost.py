"""What a picture may cost is known from sizes alone, and refused before any work begins."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib

import PIL.Image
import pytest

from tessera.imaging.decode import DecodeLimits, read_size
from tessera.imaging.fast_resize import bicubic
from tessera.imaging.fast_resize.memo import remembered
from tessera.imaging.grid import MOST_TILES, Tiling, choose_grid, count_tiles
from tessera.imaging.tiles import cut_tiles
from tests.imaging.mutated import encoded

PEAK = """
import sys, PIL.Image
from tessera.imaging.decode import decode_image
from tessera.imaging.grid import Tiling
from tessera.imaging.tiles import cut_tiles
def peak(): return next(int(l.split()[1]) // 1024 for l in open("/proc/self/status") if l.startswith("VmHWM"))
data, before = sys.stdin.buffer.read(), peak()
print(len(cut_tiles(decode_image(data), Tiling())), peak() - before)
"""


def thin_png(width: int, height: int) -> bytes:
    """Black, one bit a pixel: a few hundred bytes for millions of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = bytes((width + 7) // 8 + 1) * height
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*each) for each in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


@pytest.mark.parametrize("size", [(4_000_000, 1), (1, 4_000_000)])
def test_a_thin_picture_takes_little_memory(size: tuple[int, int]) -> None:
    """A kilobyte of PNG took gigabytes: the tables of the resize grow with the longer side."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK], input=thin_png(*size), capture_output=True, check=True
    )
    tiles, peak = map(int, done.stdout.split())
    assert tiles == 13 and peak < 300


def test_a_longer_one_is_refused_by_its_header() -> None:
    with pytest.raises(ValueError, match="20000000x1 pixels exceed max_side=16777216"):
        read_size(thin_png(20_000_000, 1))
    with pytest.raises(ValueError, match="70x1 pixels exceed max_side=64"):
        read_size(thin_png(70, 1), DecodeLimits(max_side=64))


def test_pixels_tiles_and_tables_together_are_bounded() -> None:
    many = Tiling(max_tiles=MOST_TILES, min_tiles=MOST_TILES)
    assert count_tiles(4000, 4000, many) == MOST_TILES + 1
    with pytest.raises(ValueError, match="11000x11000 pixels in 256 tiles of 448 px needs 1,.* MiB"):
        choose_grid(11_000, 11_000, many)
    with pytest.raises(ValueError, match=r"30000000x1 pixels in 12 tiles"):
        count_tiles(30_000_000, 1, Tiling())


def test_formats_that_take_more_memory_have_a_lower_limit() -> None:
    limits = DecodeLimits(max_pixels=4000)
    picture = PIL.Image.new("RGB", (50, 50))
    for kind in ("JPEG", "PNG", "BMP"):
        assert read_size(encoded(picture, kind), limits) == (50, 50)
    for kind in ("WEBP", "JPEG2000", "AVIF", "QOI"):
        with pytest.raises(ValueError, match=f"max_pixels=.* for such a {kind} file"):
            read_size(encoded(picture, kind), limits)


def test_tables_of_many_sizes_do_not_stay() -> None:
    """They were kept by number: 256 of up to 40 MiB each."""
    made: list[int] = []

    @remembered(100, lambda size: size)
    def table(size: int) -> int:
        made.append(size)
        return size

    for size in (40, 50, 40, 60, 50, 200, 40):
        assert table(size) == size
    assert made == [40, 50, 60, 50, 200, 40]
    for number in range(40):
        cut_tiles(PIL.Image.new("RGB", (60_000 + number, 5)), Tiling(max_tiles=1))
    assert bicubic.AXES_BYTES <= 64 * 2**20


@pytest.mark.parametrize("most", [0, -1, MOST_TILES + 1, 10**9, "12", 1.5, True, None])
def test_a_number_of_tiles_has_bounds(most: object) -> None:
    """The choice of a grid lists all of them: 3,000,000 took minutes, 10^9 all memory."""
    with pytest.raises(ValueError, match="^image.max_tiles: .* give a whole number from 1 to 256"):
        Tiling().limited(most, "image.max_tiles")  # type: ignore[arg-type]
