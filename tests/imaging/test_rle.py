"""COCO's run-length code: by hand, by its own library's answers, and there and back."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.imaging.masks.overlay import mask_box, overlay
from tessera.imaging.masks.rle import decode_mask, encode_mask, pack_counts, unpack_counts
from tests.engine.tiny import picture

LIBRARY = {
    # pycocotools 2.0 of `(row * row + 3 * column) % 7 < 3` in 12 rows and 9 columns, and of a corner.
    "pattern": "0210010O1O001000N10O00025N03M11N1NM010O1O0010O1O0010O",
    "corner": "RU2:b100000",
}


def pattern() -> np.ndarray:
    rows, columns = np.mgrid[:12, :9]
    return (rows * rows + 3 * columns) % 7 < 3


def corner() -> np.ndarray:
    mask = np.zeros((60, 40), dtype=np.bool_)
    mask[50:, 36:] = True
    return mask


def test_runs_go_down_the_columns() -> None:
    mask = np.array([[0, 1], [1, 1]], dtype=np.bool_)
    assert encode_mask(mask) == {"size": [2, 2], "counts": pack_counts([1, 3])}
    assert np.array_equal(decode_mask({"size": [2, 2], "counts": [1, 3]}), mask)
    assert np.array_equal(decode_mask({"size": [1, 2], "counts": [0, 1, 1]}), [[True, False]])


def test_equals_the_library_of_coco() -> None:
    assert encode_mask(pattern())["counts"] == LIBRARY["pattern"]
    assert encode_mask(corner())["counts"] == LIBRARY["corner"]


def test_there_and_back() -> None:
    random = np.random.default_rng(1)
    for share in (0.0, 0.02, 0.5, 0.98, 1.0):
        for shape in ((1, 1), (3, 50), (64, 64), (700, 3)):
            mask = random.random(shape) < share
            code = encode_mask(mask)
            assert np.array_equal(decode_mask(code), mask)
            assert pack_counts(unpack_counts(code["counts"])) == code["counts"]


@pytest.mark.parametrize(
    ("code", "match"),
    [
        ({"size": [2, 2], "counts": [1, 2]}, r"counts add up to 3, but size is 2 x 2"),
        ({"size": [2, 0], "counts": []}, r"size = \[2, 0\]: give \[height, width\] in pixels"),
        ({"size": [2, 2], "counts": "é"}, "is no character of the code"),
        ({"size": [2, 2], "counts": "P"}, "is cut off or damaged"),
        ({"size": [2, 2], "counts": [1, -1, 4]}, r"counts = \[1, -1, 4\]: give the packed text"),
        ({"size": [10**6, 10**6], "counts": "0"}, "at most 268,435,456 pixels"),
        ([1, 2], "is no run-length code; give size and counts"),
    ],
)
def test_codes_that_are_none(code: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        decode_mask(code)


def test_masks_over_a_picture() -> None:
    mask = np.zeros((16, 16), dtype=np.bool_)
    mask[4:8, 2:12] = True
    shown = np.asarray(overlay(picture(1), [mask]))
    before = np.asarray(picture(1))
    assert np.array_equal(shown[~mask], before[~mask]) and not np.array_equal(shown[mask], before[mask])
    assert tuple(shown[4, 2]) == (230, 25, 75), "its outline has the colour alone"
    assert mask_box(mask) == (2, 4, 12, 8) and mask_box(mask & False) is None
    with pytest.raises(ValueError, match=r"masks\[0\]: \(3, 3\) pixels, the picture has \(16, 16\)"):
        overlay(picture(1), [mask[:3, :3]])
