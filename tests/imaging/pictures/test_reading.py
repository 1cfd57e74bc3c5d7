"""What may be chosen about reading pictures, and what is said where reading loses something."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import pytest

from tessera.imaging.decode import decode_image, read_size
from tessera.imaging.pictures.losses import PictureLoss, what_is_lost
from tessera.imaging.pictures.reading import PUBLISHED, PictureReading
from tests.imaging.mutated import encoded

Loss = PictureLoss


def ramp(low: float, high: float, kind: type[np.generic]) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.linspace(low, high, 64).reshape(4, 16).astype(kind))


def levels(data: bytes, depth: Any) -> tuple[int, int]:
    values = np.asarray(decode_image(data, reading=PictureReading(depth=depth)))
    assert (values[..., 0] == values[..., 2]).all()
    return int(values.min()), int(values.max())


XRAY = encoded(ramp(1000, 4000, np.uint16), "PNG")
DEEP = {
    "png": (XRAY, (255, 255), (4, 16)),
    "tiff": (encoded(ramp(1000, 4000, np.uint16), "TIFF"), (255, 255), (4, 16)),
    "jpeg 2000": (encoded(ramp(1000, 4000, np.uint16), "JPEG2000"), (255, 255), (4, 16)),
    "float": (encoded(ramp(0, 1, np.float32), "TIFF"), (0, 1), (0, 255)),
    "32 bits": (encoded(ramp(0, 2**31 - 1, np.int32), "TIFF"), (0, 255), (128, 255)),
    "ppm": (encoded(ramp(0, 65535, np.uint16), "PPM"), (0, 255), (0, 255)),
}


@pytest.mark.parametrize(("data", "clipped", "by_type"), DEEP.values(), ids=DEEP)
def test_pictures_of_more_than_eight_bits(
    data: bytes, clipped: tuple[int, int], by_type: tuple[int, int]
) -> None:
    """Whole sets of X-rays and depth maps were white areas, and nothing said so."""
    assert levels(data, "clip") == clipped
    assert levels(data, "type") == by_type
    assert levels(data, "picture") == (0, 255)


def test_a_window_of_values() -> None:
    """Scanners keep 12 bits in 16: neither type nor picture is the right range."""
    assert levels(XRAY, (0, 4095)) == (62, 249)
    assert levels(XRAY, (2000, 3000)) == (0, 255)
    assert levels(XRAY, (5000, 6000)) == (0, 0)
    assert levels(encoded(ramp(7, 7, np.uint16), "PNG"), "picture") == (0, 0)
    broken = np.array([[np.nan, -np.inf, 0.25, np.inf]], np.float32)
    scaled = decode_image(
        encoded(PIL.Image.fromarray(broken), "TIFF"), reading=PictureReading(depth=(0, 0.5))
    )
    assert np.asarray(scaled)[0, :, 0].tolist() == [0, 0, 128, 255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_sizes_are_turned_as_pixels_are(kind: str, turn: int) -> None:
    """Lengths come from headers: a wrong one would stop a training run. Pillow turns TIFF by itself."""
    exif = PIL.Image.Exif()
    exif[0x0112] = turn
    data = encoded(PIL.Image.effect_noise((64, 48), 80).convert("RGB"), kind, exif=exif)
    for orientation in ("stored", "exif"):
        reading = PictureReading(orientation=orientation)  # type: ignore[arg-type]
        size = decode_image(data, reading=reading).size
        assert read_size(data, reading=reading) == size
        turned = turn > 4 and (orientation == "exif" or kind == "TIFF")
        assert size == ((48, 64) if turned else (64, 48))
    lost = [(Loss.ORIENTATION, f"orientation {turn}")] if turn > 1 and kind != "TIFF" else []
    assert list(what_is_lost(data)) == lost
    assert not what_is_lost(data, PictureReading(orientation="exif"))


def test_transparency_on_a_colour() -> None:
    layer = PIL.Image.new("RGBA", (3000, 700), (200, 100, 0, 128))
    layer.putpixel((2999, 699), (9, 9, 9, 0))
    data = encoded(layer, "PNG")
    laid = decode_image(data, reading=PictureReading(transparency="#0000ff"))
    whole = PIL.Image.alpha_composite(PIL.Image.new("RGBA", layer.size, (0, 0, 255, 255)), layer)
    assert laid.tobytes() == whole.convert("RGB").tobytes()
    assert what_is_lost(data) == ((Loss.TRANSPARENCY, "opacity from 0"),)
    assert not what_is_lost(data, PictureReading(transparency="white"))
    assert not what_is_lost(encoded(PIL.Image.new("RGBA", (4, 4), (1, 2, 3, 255)), "PNG"))


@pytest.mark.parametrize(
    ("picture", "reading", "expected"),
    [
        (ramp(1000, 4000, np.uint16), {}, [(Loss.FLAT, "values 1000 to 4000 become 255 to 255")]),
        (ramp(0, 1, np.float32), {}, [(Loss.FLAT, "values 0 to 1 become 0 to 1")]),
        (ramp(0, 4000, np.uint16), {}, [(Loss.DEPTH, "values 0 to 4000")]),
        (ramp(0, 200, np.uint16), {}, []),
        (ramp(9999, 9999, np.uint16), {}, [(Loss.DEPTH, "values 9999 to 9999")]),
        (ramp(1000, 1100, np.uint16), {"depth": "type"}, [(Loss.FLAT, "values 1000 to 1100 become 4 to 4")]),
        (ramp(1000, 4000, np.uint16), {"depth": "picture"}, []),
        (PIL.Image.new("RGB", (9, 9)), {}, []),
    ],
)
def test_notes_about_depth(picture: PIL.Image.Image, reading: dict[str, Any], expected: list[Any]) -> None:
    kind = "TIFF" if picture.mode == "F" else "PNG"
    for source in (picture, encoded(picture, kind)):
        assert list(what_is_lost(source, PictureReading(**reading))) == expected
    assert not what_is_lost(encoded(picture, kind), PictureReading(**reading), headers_only=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"depth": "wide"}, "depth"),
        ({"depth": [5, 5]}, r"depth.*\[5.0, 5.0\]: give \[low, high\]"),
        ({"depth": [0, float("inf")]}, "depth.*low below high"),
        ({"transparency": "no colour"}, "transparency.*no colour"),
        ({"transparency": "x" * 10_000}, "transparency.{0,300}neither drop nor a colour"),
        ({"orientation": True}, "orientation = True: .*stored: as the pixels lie"),
        ({"exif": True}, "exif = True: .*give some of orientation, transparency"),
        ("white", "'white' is no object"),
    ],
)
def test_a_wrong_choice_is_named_with_what_there_is(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as told:
        PictureReading.read(given)
    assert len(str(told.value)) < 1000


def test_choices_are_told_in_a_line() -> None:
    assert str(PUBLISHED) == "published"
    assert str(PictureReading.read({"depth": [0, 4095]})) == "depth=(0.0, 4095.0)"
