"""Notes of a PNG, which pixels do not depend on, never keep it from being read."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import PIL.Image
import PIL.PngImagePlugin
import pytest

from tessera.imaging.decode import decode_image, open_lazily, read_size
from tests.imaging.mutated import encoded

LONG = 9 * 2**20


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


NOTES = {
    "zTXt": b"note\0\0" + zlib.compress(bytes(LONG)),
    "iTXt": b"note\0\1\0\0\0" + zlib.compress(b"x" * LONG),
    "tEXt": b"note\0" + b"x" * 70 * 2**20,  # more than all texts of a file may take together
    "iCCP": b"profile\0\0" + zlib.compress(bytes(LONG)),
}


@pytest.mark.parametrize("kind", sorted(NOTES))
@pytest.mark.parametrize("behind", [False, True])
def test_a_long_note_is_passed_over(kind: str, behind: bool, tmp_path: Path) -> None:
    """Renderers and photo tools write such files; they were "not a picture", to be replaced."""
    picture = PIL.Image.effect_noise((40, 30), 80).convert("RGB")
    plain = encoded(picture, "PNG")
    at = plain.rindex(b"IEND") - 4 if behind else plain.index(b"IDAT") - 4
    data = plain[:at] + chunk(kind.encode(), NOTES[kind]) + plain[at:]
    file = tmp_path / "noted.png"
    file.write_bytes(data)
    before = PIL.PngImagePlugin.MAX_TEXT_CHUNK, PIL.PngImagePlugin.MAX_TEXT_MEMORY
    for source in (data, file):
        assert read_size(source) == open_lazily(source).size == (40, 30)
        assert decode_image(source).tobytes() == picture.tobytes()
    assert before == (PIL.PngImagePlugin.MAX_TEXT_CHUNK, PIL.PngImagePlugin.MAX_TEXT_MEMORY)


def test_what_pixels_depend_on_stays() -> None:
    """Transparency, the palette and the orientation are no notes."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    plain = encoded(PIL.Image.new("P", (4, 2)), "PNG", transparency=0, exif=exif)
    at = plain.index(b"IDAT") - 4
    noted = open_lazily(plain[:at] + chunk(b"zTXt", NOTES["zTXt"]) + plain[at:])
    assert noted.has_transparency_data and noted.getexif()[0x0112] == 6


def test_a_broken_picture_with_notes_stays_broken() -> None:
    plain = encoded(PIL.Image.effect_noise((40, 30), 80), "PNG")
    at = plain.index(b"IDAT") - 4
    with pytest.raises(ValueError, match="truncated or broken"):
        decode_image(plain[:at] + chunk(b"zTXt", NOTES["zTXt"]) + plain[at:-200])
