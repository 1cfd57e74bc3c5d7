"""Pictures from files, bytes or memory to RGB, with limits; sizes from headers without decoding pixels.

The default pixels are those of the published recipe, `PIL.Image.open(x).convert("RGB")`: EXIF orientation is
not applied, transparency is dropped, grey of more than 8 bits is clipped as Pillow clips it, and of an
animated file the first frame counts. Every other choice is a field of `PictureReading`.
"""

import io
import os
import struct
import zlib
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import PIL.Image
import PIL.ImageColor
import PIL.ImageOps

from tessera.imaging.pictures.depth import STRIP, is_deep, scaled
from tessera.imaging.pictures.png_chunks import without_notes
from tessera.imaging.pictures.reading import PUBLISHED, PictureReading
from tessera.imaging.pictures.sources import Source, picture_source
from tessera.runtime.config import Config
from tessera.runtime.shown import shown

# Named formats only: Pillow's other plug-ins include ones that start programs (EPS) or follow links. MPO, the
# two-picture JPEG of phones, comes with JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "JPEG2000", "AVIF", "QOI")

# What Pillow's decoders raise on broken data, warnings that are errors included: any of them is a fault of
# the picture.
BROKEN = (
    OSError, SyntaxError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
    RuntimeError, MemoryError, AssertionError, BufferError, Warning, struct.error, zlib.error,
)  # fmt: skip
BOMBS = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)

PLAIN = 8
"""Bytes a pixel while a usual file becomes RGB, of which Pillow keeps four: it and what it is made from."""
BYTES_A_PIXEL = {"WEBP": 17, "AVIF": 16, "JPEG2000": 28, "progressive": 12, "deep": 12, "CMYK": 12}
"""What other files need, as measured with Pillow 13 (peak memory of 9 to 25 million pixels)."""
READ_IN_PYTHON = {"qoi", "ppm", "ppm_plain", "bmp_rle"}
"""Decoders of Pillow's that are loops in Python: pixels cost time, as much as SLOW bytes."""
SLOW = 128
MOST_SCANNED = 2**32
"""Pixels times scans of a progressive JPEG: a usual one has ten, and a few bytes make another."""

_EXIF_ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations whose picture is turned by a quarter


class UnreadablePicture(ValueError):
    """A picture that can't be read; the message names it, the reason and a remedy."""


class DecodeLimits(Config):
    """How large a picture may be before it is refused, unopened."""

    max_pixels: int = 125_000_000
    """Width times height; reading that many takes nearly 1 GiB. Formats that need more have a lower limit."""
    max_side: int = 2**24
    """Longer side in pixels; the tables of its resize then take 512 MiB."""
    max_bytes: int = 256 * 2**20
    """Size of the encoded file in bytes."""


DEFAULT_LIMITS = DecodeLimits()


def read_size(
    source: Source, limits: DecodeLimits = DEFAULT_LIMITS, reading: PictureReading | None = None
) -> tuple[int, int]:
    """Width and height in pixels from the header alone; the same reading gives `decode_image`'s size.

    Raises ValueError when the source is missing, broken in its header, or beyond the limits.
    """
    known = _known(source)
    image = open_lazily(known, limits)
    with nullcontext() if image is known else image:
        width, height = image.size
        exif = reading is not None and reading.orientation == "exif"
        return (height, width) if exif and orientation(image, known) in SIDEWAYS else (width, height)


def decode_image(
    source: Source, limits: DecodeLimits = DEFAULT_LIMITS, reading: PictureReading | None = None
) -> PIL.Image.Image:
    """The picture as PIL RGB (uint8, height x width x 3 as an array); None reads as published.

    Raises ValueError with the picture's name and a remedy for anything that cannot be decoded whole. A PIL
    picture that is RGB already comes back as the same object.
    """
    known, reading = _known(source), reading or PUBLISHED
    try:
        return _decoded(known, open_lazily(known, limits), reading)
    except UnreadablePicture as error:
        # Notes may stand behind the pixels, too, where they are met only now.
        if error.__cause__ is None or (plain := _plain(known)) is None:
            raise
        return _decoded(known, _opened(plain, known, limits), reading)


def open_lazily(source: Source, limits: DecodeLimits = DEFAULT_LIMITS) -> PIL.Image.Image:
    """The opened, not yet decoded picture, checked against the limits; a PIL picture comes back as it is."""
    known = _known(source)
    if isinstance(known, PIL.Image.Image):
        _check_pixels(known, known, limits)
        return known
    _check_bytes(known, limits)
    try:
        return _opened(known, known, limits)
    except UnreadablePicture as error:
        if error.__cause__ is None or (plain := _plain(known)) is None:
            raise
        return _opened(plain, known, limits)


def orientation(image: PIL.Image.Image, source: Source) -> int:
    """The EXIF orientation of an opened picture, 1 to 8; 1 where it is not said, and for TIFF, which Pillow
    turns by itself."""
    if image.format == "TIFF":
        return 1
    try:
        told = int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except BROKEN as error:
        remedy = "read it with orientation 'stored' or strip the block"
        raise _error(source, f"EXIF block is broken ({shown(error)}); {remedy}") from error
    return told if 1 <= told <= 8 else 1


def name_of(source: Source) -> str:
    """How messages name a source: its path, or what kind of value it is."""
    if isinstance(source, PIL.Image.Image):
        return f"<PIL {source.mode} {source.width}x{source.height}>"
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    return repr(shown(Path(source)))


def _known(source: Source) -> Path | bytes | PIL.Image.Image:
    try:
        return picture_source(source)
    except ValueError as error:
        raise UnreadablePicture(f"picture: {error}") from None


def _plain(source: Path | bytes | PIL.Image.Image) -> bytes | None:
    """A PNG without the notes that may have kept Pillow from reading it."""
    if isinstance(source, PIL.Image.Image) or (isinstance(source, Path) and not source.is_file()):
        return None
    return without_notes(source)


def _error(source: Source, what: str) -> UnreadablePicture:
    return UnreadablePicture(f"picture {name_of(source)}: {what}")


@cache
def _known_formats() -> tuple[str, ...]:
    """Those of our formats that this build of Pillow can open."""
    PIL.Image.init()
    return tuple(name for name in FORMATS if name in PIL.Image.OPEN)


def _opened(data: Path | bytes, source: Source, limits: DecodeLimits) -> PIL.Image.Image:
    try:
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        image = PIL.Image.open(stream, formats=_known_formats())
        _ = image.size  # a TIFF looks for it only now
    except BOMBS as error:
        raise _error(source, f"{error}; scale it down") from error
    except PIL.UnidentifiedImageError as error:
        formats = ", ".join(_known_formats())
        raise _error(source, f"not a readable picture (no known format); use one of {formats}") from error
    except BROKEN as error:
        raise _error(source, f"not a readable picture ({_told(error)}); replace the file") from error
    _check_pixels(image, source, limits)
    return image


def _decoded(source: Source, image: PIL.Image.Image, reading: PictureReading) -> PIL.Image.Image:
    """The pixels of an opened picture, which is closed; one of the caller's stays open."""
    try:
        with nullcontext() if image is source else image:
            if reading.animation == "refuse" and (frames := int(getattr(image, "n_frames", 1))) > 1:
                remedy = "pass it as a video or read it with animation 'first'"
                raise _error(source, f"it has {frames} frames and animation is 'refuse'; {remedy}")
            _check_scans(image, source)
            image.load()
            if reading.orientation == "exif" and orientation(image, source) > 1:
                image = PIL.ImageOps.exif_transpose(image)
            return _to_rgb(image, reading)
    except UnreadablePicture:
        raise
    except BROKEN as error:
        remedy = "replace the file or drop the record"
        raise _error(source, f"pixel data is truncated or broken ({_told(error)}); {remedy}") from error


def _told(error: BaseException) -> str:
    """An error of Pillow's; some have no words."""
    return shown(error) or type(error).__name__


def _check_bytes(source: Path | bytes, limits: DecodeLimits) -> None:
    try:
        size = len(source) if isinstance(source, bytes) else os.stat(source).st_size
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or shown(error)
        raise _error(source, f"unreadable ({reason}); check the path") from error
    if size == 0:
        raise _error(source, "the file is empty; replace it or drop the record")
    if size > limits.max_bytes:
        raise _error(source, f"{size} bytes exceed max_bytes={limits.max_bytes}; shrink the file")


def _check_pixels(image: PIL.Image.Image, source: Source, limits: DecodeLimits) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise _error(source, f"size {width}x{height} has no pixels; replace the file")
    if max(width, height) > limits.max_side:
        raise _error(source, f"{width}x{height} pixels exceed max_side={limits.max_side}; cut it into parts")
    needed = _bytes_a_pixel(image)
    most = limits.max_pixels * PLAIN // needed
    if width * height > most:
        why = "" if needed == PLAIN else f" for such a {image.format or image.mode} file"
        raise _error(source, f"{width}x{height} pixels exceed max_pixels={most}{why}; scale it down")


def _check_scans(image: PIL.Image.Image, source: Source) -> None:
    """A progressive JPEG may go over all its pixels as often as its few bytes say."""
    if not image.info.get("progressive") or isinstance(source, PIL.Image.Image):
        return
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    scans, most = data.count(b"\xff\xda"), MOST_SCANNED // (image.width * image.height)
    if scans > most:
        raise _error(source, f"{scans} scans of a progressive JPEG exceed {most} at its size; save it again")


def _bytes_a_pixel(image: PIL.Image.Image) -> int:
    """What a pixel costs until it is RGB."""
    kinds = [image.format or "", "progressive" if image.info.get("progressive") else "", image.mode]
    if is_deep(image):
        kinds.append("deep")
    slow = any(tile[0] in READ_IN_PYTHON for tile in getattr(image, "tile", ()))
    return SLOW if slow else max(BYTES_A_PIXEL.get(kind, PLAIN) for kind in kinds)


def _to_rgb(image: PIL.Image.Image, reading: PictureReading) -> PIL.Image.Image:
    if reading.depth != "clip" and is_deep(image):
        image = scaled(image, reading.depth)
    if reading.transparency != "drop" and image.has_transparency_data:
        return _laid_on(image, PIL.ImageColor.getrgb(reading.transparency)[:3])
    # An RGB picture is not copied: convert() would, for nothing.
    return image if image.mode == "RGB" else image.convert("RGB")


def _laid_on(image: PIL.Image.Image, colour: tuple[int, ...]) -> PIL.Image.Image:
    """A transparent picture on paper, some rows at a time."""
    paper = PIL.Image.new("RGB", image.size)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        layer = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        ground = PIL.Image.new("RGBA", layer.size, (*colour, 255))
        paper.paste(PIL.Image.alpha_composite(ground, layer).convert("RGB"), (0, top))
    return paper
