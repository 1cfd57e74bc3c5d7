"""Boxes to integers of 1000 and back: round trips by property, clipping, refusals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.annotations.coordinates import box_text, clip_box, hull, numbers, quad_text, scale
from tessera.annotations.rejects import Fault, Rejected, SkipReason

sizes = st.tuples(st.integers(1, 9000), st.integers(1, 9000))
shares = st.floats(0, 1)


@given(sizes, shares, shares)
def test_round_trip_stays_within_half_a_unit(size: tuple[int, int], x: float, y: float) -> None:
    point = (x * size[0], y * size[1])
    back = [side * extent / 1000 for side, extent in zip(scale(point, size), size, strict=True)]
    for side in (0, 1):
        assert abs(back[side] - point[side]) <= size[side] / 2000 + 1e-9


@given(sizes, st.lists(st.floats(-1e5, 1e5), min_size=4, max_size=4))
def test_a_clipped_box_lies_inside_or_is_rejected(size: tuple[int, int], sides: list[float]) -> None:
    try:
        (x0, y0, x1, y1), _ = clip_box(sides, size, 1)
    except Rejected:
        return
    assert 0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]
    scaled = scale((x0, y0, x1, y1), size)
    assert all(0 <= side <= 1000 for side in scaled) and scaled[0] < scaled[2] and scaled[1] < scaled[3]


def test_published_rule() -> None:
    """round(x / W * 1000) of the original picture (docs/facts/data.md)."""
    assert scale((10, 20, 60, 80), (640, 480)) == (16, 42, 94, 167)
    assert box_text([(10, 20, 60, 80), (0, 0, 640, 480)], (640, 480)) == (
        "<box>[[16, 42, 94, 167], [0, 0, 1000, 1000]]</box>"
    )
    quad = (0.0, 0.0, 640.0, 0.0, 640.0, 480.0, 0.0, 240.0)
    assert quad_text([quad], (640, 480)) == "<quad>[[0, 0, 1000, 0, 1000, 1000, 0, 500]]</quad>"
    assert hull(quad) == (0, 0, 640, 480)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((10, 10, 10, 20), Fault.BAD_BOX),
        ((10, 10, 5, 20), Fault.BAD_BOX),
        ((10, 10, math.nan, 20), Fault.BAD_BOX),
        ((10, 10, math.inf, 20), Fault.BAD_BOX),
        ((700, 10, 800, 20), Fault.OUTSIDE_PICTURE),
        ((-50, -50, 0, 20), Fault.OUTSIDE_PICTURE),
        ((10, 10, 10.2, 20), SkipReason.TINY),
    ],
)
def test_refused_boxes(box: tuple[float, ...], reason: Fault | SkipReason) -> None:
    with pytest.raises(Rejected) as caught:
        clip_box(box, (640, 480), 1)
    assert caught.value.reason is reason


def test_clipping_is_told_but_rounding_is_not() -> None:
    assert clip_box((-0.4, 0, 640.3, 480), (640, 480), 1) == ((0, 0, 640, 480), False)
    assert clip_box((-20, 0, 640, 480), (640, 480), 1) == ((0, 0, 640, 480), True)


def test_numbers_are_numbers() -> None:
    assert numbers([[1, 2], [3, 4.5]], 4, "box") == (1.0, 2.0, 3.0, 4.5)
    for value in (None, "1 2 3 4", [1, 2, 3], [1, 2, 3, "4"], [1, 2, 3, True], [1, 2, 3, math.nan]):
        with pytest.raises(Rejected, match="box without an area"):
            numbers(value, 4, "box")
