"""Decoding: the recipe's pixels by default, named options beside them, and a clear refusal of the rest."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tessera.imaging.decode import DecodeLimits, decode_image, read_size
from tessera.imaging.pictures.reading import PictureReading

TURNED = PictureReading(orientation="exif")
ON_WHITE = PictureReading(transparency="white")
ONE_FRAME = PictureReading(animation="refuse")


def encode(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width: int = 64, height: int = 48) -> PIL.Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return PIL.Image.fromarray(values)


def test_every_real_picture_decodes_as_the_recipe_does(shared_data: Path) -> None:
    for path in sorted((shared_data / "images").iterdir()):
        with PIL.Image.open(path) as opened:
            wanted = opened.convert("RGB")
        sources = (path, str(path), path.read_bytes())
        assert {read_size(source) for source in sources} == {wanted.size}
        for source in sources if wanted.width * wanted.height < 400_000 else sources[:1]:
            decoded = decode_image(source)
            assert decoded.mode == "RGB"
            assert decoded.tobytes() == wanted.tobytes(), path.name


def test_exif_orientation_is_an_option() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    data = encode(photo(), "JPEG", exif=exif)
    assert decode_image(data).size == read_size(data) == (64, 48)
    turned = decode_image(data, reading=TURNED)
    assert turned.size == read_size(data, reading=TURNED) == (48, 64)
    assert np.array_equal(np.asarray(turned), np.rot90(np.asarray(decode_image(data)), -1))


def test_alpha_is_dropped_or_laid_on_white() -> None:
    clear = PIL.Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    data = encode(clear, "PNG")
    assert decode_image(data).getpixel((0, 0)) == (10, 20, 30)
    assert decode_image(data, reading=ON_WHITE).getpixel((0, 0)) == (255, 255, 255)


def test_palette_with_transparency() -> None:
    image = PIL.Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 100, 0])
    image.putpixel((1, 0), 1)
    data = encode(image, "PNG", transparency=0)
    assert np.asarray(decode_image(data)).tolist() == [[[200, 0, 0], [0, 100, 0]]]
    assert np.asarray(decode_image(data, reading=ON_WHITE)).tolist() == [[[255, 255, 255], [0, 100, 0]]]


def test_sixteen_bit_grey_is_clipped_as_pillow_does_or_scaled() -> None:
    grey = PIL.Image.fromarray(np.array([[0, 128, 257, 65535]], dtype=np.uint16))
    data = encode(grey, "PNG")
    assert np.asarray(decode_image(data))[0, :, 0].tolist() == [0, 128, 255, 255]
    scaled = decode_image(data, reading=PictureReading(depth="type"))
    assert np.asarray(scaled)[0, :, 0].tolist() == [0, 0, 1, 255]


def test_cmyk_jpeg() -> None:
    data = encode(photo().convert("CMYK"), "JPEG")
    with PIL.Image.open(io.BytesIO(data)) as opened:
        assert opened.mode == "CMYK"
        assert decode_image(data).tobytes() == opened.convert("RGB").tobytes()


def test_of_an_animation_the_first_frame_counts_or_none() -> None:
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(data).getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(ValueError, match="2 frames and animation is 'refuse'"):
        decode_image(data, reading=ONE_FRAME)
    assert decode_image(encode(frames[0], "PNG"), reading=ONE_FRAME).size == (8, 8)


def test_a_pil_picture_is_taken_as_it_is() -> None:
    image = photo()
    assert decode_image(image) is image
    assert decode_image(image.convert("L")).mode == "RGB"
    assert read_size(image) == (64, 48)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("kept", [0.9, 0.5, 0.02])
def test_a_truncated_file_is_refused(kind: str, kept: float, tmp_path: Path) -> None:
    data = encode(photo(), kind)
    path = tmp_path / "broken.bin"
    path.write_bytes(data[: max(1, int(len(data) * kept))])
    with pytest.raises(ValueError, match="broken.bin.*(replace|use one of)"):
        decode_image(path)


def test_a_truncated_jpeg_still_has_its_size() -> None:
    """Lengths come from headers, so pixels may turn out broken later; decoding then says so."""
    data = encode(photo(), "JPEG")
    assert read_size(data[:-100]) == (64, 48)
    with pytest.raises(ValueError, match="truncated"):
        decode_image(data[:-100])


def test_limits_on_pixels_and_bytes() -> None:
    data = encode(photo(), "PNG")
    for call in (read_size, decode_image):
        with pytest.raises(ValueError, match="64x48 pixels exceed max_pixels=3071"):
            call(data, DecodeLimits(max_pixels=3071))
        with pytest.raises(ValueError, match="exceed max_bytes=100"):
            call(data, DecodeLimits(max_bytes=100))
        with pytest.raises(ValueError, match="exceed max_pixels=10"):
            call(photo(), DecodeLimits(max_pixels=10))


def test_a_decompression_bomb_is_refused_from_its_header() -> None:
    """A few hundred bytes that claim 30000 x 30000 pixels must cost neither memory nor time."""
    data = bytearray(encode(PIL.Image.new("1", (16, 16)), "BMP"))
    data[18:26] = (30000).to_bytes(4, "little") * 2
    for call in (read_size, decode_image):
        with pytest.raises(ValueError, match="pixels"):
            call(bytes(data))


@pytest.mark.parametrize("data", [b"", b"not a picture", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="picture <"):
        decode_image(data)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="check the path"):
        read_size(tmp_path / "nothing.png")
    with pytest.raises(ValueError, match="picture"):
        decode_image(tmp_path)
