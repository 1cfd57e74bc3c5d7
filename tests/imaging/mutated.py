"""Small picture files of every format, and damaged copies of them."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import numpy as np
import PIL.Image

EXTREMES = (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")


def encoded(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def every_format() -> dict[str, bytes]:
    rgb = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    kinds = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "ICO", "TGA", "QOI", "PPM")
    grey = np.linspace(0, 1, 99, dtype=np.float32).reshape(9, 11)
    several = {"save_all": True, "append_images": [rgb.rotate(90)]}
    return {kind: encoded(rgb, kind) for kind in kinds} | {
        "progressive": encoded(rgb, "JPEG", progressive=True, exif=exif),
        "transparent": encoded(rgb.convert("RGBA"), "PNG", exif=exif),
        "palette": encoded(rgb.convert("P"), "PNG", transparency=0),
        "compressed": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "float": encoded(PIL.Image.fromarray(grey), "TIFF"),
        "deep": encoded(PIL.Image.fromarray((grey * 4000).astype(np.uint16)), "PNG"),
        "two": encoded(rgb, "GIF", **several),
        "words": b"P3\n4 4\n99\n" + b"1 " * 48,
    }


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """(format, damaged file) with a few bytes changed, put in, taken out, repeated or cut off."""
    rng, files = random.Random(seed), every_format()
    for _ in range(count):
        kind = rng.choice(sorted(files))
        data = bytearray(files[kind])
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            at = rng.randrange(len(data))
            match rng.randrange(5):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    data[at : at + 4] = rng.choice(EXTREMES)
                case 2:
                    data[at:at] = data[at // 2 : at // 2 + rng.randrange(60)]
                case 3:
                    del data[at + 1 : at + rng.randrange(2, 40)]
                case 4 if rng.random() < 0.3:
                    del data[at + 1 :]
        yield kind, bytes(data)
