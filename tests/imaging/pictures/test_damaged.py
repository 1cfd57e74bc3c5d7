"""Whatever a file holds, it is a picture or a fault of that picture."""

from __future__ import annotations

import io
import warnings

import PIL.Image
import pytest

from tessera.imaging.decode import decode_image, read_size
from tessera.imaging.pictures.losses import what_is_lost
from tessera.imaging.pictures.reading import PictureReading
from tessera.records.media import picture_problem
from tests.imaging.mutated import encoded, mutations

READINGS = (
    None,
    PictureReading(orientation="exif", transparency="white", depth="type"),
    PictureReading(depth="picture", animation="refuse"),
)


@pytest.mark.parametrize("action", ["ignore", "error"])
def test_damaged_files_of_every_format_are_faults(action: str) -> None:
    """AVIF's RuntimeError, a TIFF's TypeError and warnings as errors stopped a whole check."""
    found = {"sound": 0, "broken": 0}
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]
        for number, (kind, data) in enumerate(mutations(seed=len(action), count=250)):
            reading = READINGS[number % len(READINGS)]
            if problem := picture_problem(data, False, reading):
                found["broken"] += 1
                assert problem[1].startswith(("picture <", "<")) and len(problem[1]) < 500, kind
                with pytest.raises(ValueError, match="picture <"):
                    decode_image(data, reading=reading)
            else:
                found["sound"] += 1
                what_is_lost(data, reading)
                assert decode_image(data, reading=reading).size == read_size(data, reading=reading), kind
    assert min(found.values()) > 50


def test_a_damaged_avif_is_a_fault() -> None:
    """Its decoder raises RuntimeError."""
    data = encoded(PIL.Image.new("RGB", (64, 48), (9, 99, 200)), "AVIF")
    for start in range(0, len(data) - 8, 12):
        picture_problem(data[:start] + b"\xff" * 8 + data[start + 8 :], False)


def test_a_progressive_jpeg_of_a_thousand_scans_is_refused() -> None:
    """Fourteen bytes make the decoder go over all pixels once more: 14 MB took an hour."""
    data = encoded(PIL.Image.new("RGB", (2000, 2000), (9, 99, 200)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert decode_image(data).size == (2000, 2000)
    with pytest.raises(ValueError, match=r"3010 scans of a progressive JPEG exceed 1073 at its size"):
        decode_image(data[:-2] + scan * 3000 + data[-2:])


def test_a_file_of_many_frames_is_told_as_such_without_walking_through_it() -> None:
    buffer = io.BytesIO()
    page = PIL.Image.new("RGB", (8, 8))
    page.save(buffer, "TIFF", save_all=True, append_images=[page])
    assert [str(loss) for loss, _ in what_is_lost(buffer.getvalue())] == ["only the first frame seen"]
