"""Pictures from files, bytes or memory to RGB, with limits; sizes from headers without decoding pixels.

The default pixels are those of the published recipe, `PIL.Image.open(x).convert("RGB")`: EXIF orientation is
not applied, transparency is dropped, 16-bit grey is clipped as Pillow clips it, and of an animated file the
first frame counts. Every other choice is a named option.
"""

import io
import os
import struct
import zlib
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image
import PIL.ImageOps

from tessera.runtime.config import Config

Source = str | Path | bytes | PIL.Image.Image
Alpha = Literal["drop", "white"]
Animation = Literal["first", "refuse"]
SixteenBit = Literal["clip", "scale"]

# Named formats only: Pillow's other plug-ins include ones that start programs (EPS) or follow links. MPO, the
# two-picture JPEG of phones, comes with JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "JPEG2000", "AVIF", "QOI")

# What Pillow's decoders raise on broken data: each names a different way of being truncated.
BROKEN = (
    OSError, SyntaxError, EOFError, ValueError, IndexError, TypeError, struct.error, zlib.error,
)  # fmt: skip
BOMBS = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)

_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations whose picture is turned by a quarter


class DecodeLimits(Config):
    """How large a picture may be before it is refused, unopened."""

    max_pixels: int = 178_956_970
    """Width times height; the default is where Pillow itself calls a file a decompression bomb."""
    max_bytes: int = 256 * 2**20
    """Size of the encoded file in bytes."""


DEFAULT_LIMITS = DecodeLimits()


def read_size(
    source: Source, limits: DecodeLimits = DEFAULT_LIMITS, apply_exif: bool = False
) -> tuple[int, int]:
    """Width and height in pixels from the header alone; the same options give `decode_image`'s size.

    Raises ValueError when the source is missing, broken in its header, or beyond the limits.
    """
    image = open_lazily(source, limits)
    with nullcontext() if image is source else image:
        width, height = image.size
        return (height, width) if apply_exif and _is_sideways(image, source) else (width, height)


def decode_image(
    source: Source,
    limits: DecodeLimits = DEFAULT_LIMITS,
    apply_exif: bool = False,
    alpha: Alpha = "drop",
    animation: Animation = "first",
    sixteen_bit: SixteenBit = "clip",
) -> PIL.Image.Image:
    """The picture as PIL RGB (uint8, height x width x 3 as an array).

    `alpha="white"` lays transparent pictures on white; `animation="refuse"` raises on more than one frame;
    `sixteen_bit="scale"` divides 16-bit grey by 257 instead of clipping at 255. Raises ValueError with the
    picture's name and a remedy for anything that cannot be decoded whole. A PIL picture that is RGB already
    comes back as the same object.
    """
    image = open_lazily(source, limits)
    frames = int(getattr(image, "n_frames", 1)) if animation == "refuse" else 1
    if frames > 1:
        remedy = "pass it as a video or use animation='first'"
        raise _error(source, f"it has {frames} frames and animation is 'refuse'; {remedy}")
    try:
        # Leaving the block closes the file, not the pixels; a picture of the caller's stays open.
        with nullcontext() if image is source else image:
            image.load()
            if apply_exif:
                image = PIL.ImageOps.exif_transpose(image)
            return _to_rgb(image, alpha, sixteen_bit)
    except BROKEN as error:
        remedy = "replace the file or drop the record"
        raise _error(source, f"pixel data is truncated or broken ({error}); {remedy}") from error


def open_lazily(source: Source, limits: DecodeLimits = DEFAULT_LIMITS) -> PIL.Image.Image:
    """The opened, not yet decoded picture, checked against the limits; a PIL picture comes back as it is."""
    if isinstance(source, PIL.Image.Image):
        _check_pixels(source, source, limits)
        return source
    _check_bytes(source, limits)
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        image = PIL.Image.open(stream, formats=_known_formats())
    except BOMBS as error:
        raise _error(source, f"{error}; scale it down, or raise PIL.Image.MAX_IMAGE_PIXELS") from error
    except BROKEN as error:
        formats = ", ".join(_known_formats())
        raise _error(source, f"not a readable picture ({error}); use one of {formats}") from error
    _check_pixels(image, source, limits)
    return image


def name_of(source: Source) -> str:
    """How messages name a source: its path, or what kind of value it is."""
    if isinstance(source, PIL.Image.Image):
        return f"<PIL {source.mode} {source.width}x{source.height}>"
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    return repr(str(source))


def _error(source: Source, what: str) -> ValueError:
    return ValueError(f"picture {name_of(source)}: {what}")


@cache
def _known_formats() -> tuple[str, ...]:
    """Those of our formats that this build of Pillow can open."""
    PIL.Image.init()
    return tuple(name for name in FORMATS if name in PIL.Image.OPEN)


def _check_bytes(source: str | Path | bytes, limits: DecodeLimits) -> None:
    try:
        size = len(source) if isinstance(source, bytes) else os.stat(source).st_size
    except (OSError, ValueError) as error:
        raise _error(source, f"unreadable ({error}); check the path") from error
    if size == 0:
        raise _error(source, "the file is empty; replace it or drop the record")
    if size > limits.max_bytes:
        limit = f"max_bytes={limits.max_bytes}; shrink the file or raise the limit"
        raise _error(source, f"{size} bytes exceed {limit}")


def _check_pixels(image: PIL.Image.Image, source: Source, limits: DecodeLimits) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise _error(source, f"size {width}x{height} has no pixels; replace the file")
    if width * height > limits.max_pixels:
        limit = f"max_pixels={limits.max_pixels}; scale it down or raise the limit"
        raise _error(source, f"{width}x{height} pixels exceed {limit}")


def _is_sideways(image: PIL.Image.Image, source: Source) -> bool:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1)) in _SIDEWAYS
    except BROKEN as error:
        raise _error(source, f"EXIF block is broken ({error}); use apply_exif=False or strip it") from error


def _to_rgb(image: PIL.Image.Image, alpha: Alpha, sixteen_bit: SixteenBit) -> PIL.Image.Image:
    if sixteen_bit == "scale" and image.mode.startswith("I"):
        # I (32-bit) is how Pillow opened 16-bit PNGs before it had I;16; both hold 0..65535.
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = PIL.Image.fromarray(((grey + 128) // 257).astype(np.uint8))
    if alpha == "white" and image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = PIL.Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return PIL.Image.alpha_composite(paper, layer).convert("RGB")
    # An RGB picture is not copied: convert() would, for nothing.
    return image if image.mode == "RGB" else image.convert("RGB")
