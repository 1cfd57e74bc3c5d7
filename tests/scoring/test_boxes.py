"""Boxes in answers and their overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.boxes import Box, box_iou, parse_boxes

SHARES = st.floats(0, 1)
BOXES = st.tuples(SHARES, SHARES, SHARES, SHARES).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<ref>cat</ref><box>[[100, 200, 500, 1000]]</box>", [(0.1, 0.2, 0.5, 1.0)]),
        ("[[0,0,10,10], [20, 20, 30, 30]]", [(0.0, 0.0, 0.01, 0.01), (0.02, 0.02, 0.03, 0.03)]),
        ("[0.1, 0.2, 0.5, 1.0]", [(0.1, 0.2, 0.5, 1.0)]),
        ("[[1, 2, 3]]", []),
        ("nothing", []),
        ("[[a, 2, 3, 4]]", []),
        # Every form that Python's float takes: a model that wrote "1e2" was counted as wrong.
        ("[[1e2, 2E+2, +500, 1000.]]", [(0.1, 0.2, 0.5, 1.0)]),
        ("[.1, 0.2, 5e-1, 1]", [(0.1, 0.2, 0.5, 1.0)]),
        ("[1_00, 200, 5_00,\n 1000 ]", [(0.1, 0.2, 0.5, 1.0)]),
        ("[nan, 2, 3, 4] [1, inf, 3, 4] [1, 2, 1e999, 4]", []),
        ("[1 2, 3, 4, 5] [1, 2, 3, ] [0x1, 2, 3, 4] [1, 2, 3, 4, 5]", []),
    ],
)
def test_parse(text: str, expected: list[Box]) -> None:
    found = parse_boxes(text)
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert one == pytest.approx(two)


def test_iou_by_hand() -> None:
    assert box_iou((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert box_iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0
    assert box_iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0
    assert box_iou((1, 1, 0, 0), (0, 0, 1, 1)) == 0


@given(BOXES, BOXES)
def test_iou_is_symmetric_and_bounded(one: Box, two: Box) -> None:
    assert box_iou(one, two) == pytest.approx(box_iou(two, one))
    assert 0 <= box_iou(one, two) <= 1 + 1e-9


@given(BOXES.filter(lambda b: b[2] - b[0] > 0.01 and b[3] - b[1] > 0.01))
def test_a_box_overlaps_itself_entirely(box: Box) -> None:
    assert box_iou(box, box) == pytest.approx(1)
