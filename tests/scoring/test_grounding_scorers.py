"""Boxes and points of answers: readers, scaling, overlap, and figures of splits and screens."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.grounding.cameras import restore_cameras
from tessera.scoring.grounding.figures import box_figures, screen_figures
from tessera.scoring.grounding.overlap import official_overlap
from tessera.scoring.grounding.said_boxes import listed_box, official_box, plain_box, spaced_box, stretched
from tessera.scoring.grounding.said_points import any_numbers, click_point, marked_point
from tessera.scoring.grounding.scorers import click_scorer, refcoco_scorer, rsvg_scorer
from tessera.scoring.verdict import OVERALL, Graded, Reference

ONE = (1.0, 2.0, 3.0, 4.0)
# answer, then the box that is read: official, lmms-eval, VLMEvalKit
BOXES = [
    ("<box>[[1, 2, 3, 4]]</box>", ONE, ONE, ONE), ("[1,2,3,4]", ONE, ONE, ONE),
    ("[ 1 , 2 , 3 , 4 ]", ONE, None, ONE), ("[1 2 3 4]", None, None, ONE), ("1, 2, 3, 4", None, None, ONE),
    ("(1, 2, 3, 4)", None, None, ONE), ("[[1, 2, 3, 4], [5, 6, 7, 8]]", ONE, ONE, ONE),
    ("[1, 2, 3]", None, None, None), ("", None, None, None), ("[1, 2, 3, x]", None, None, None),
    ("a 5 [1,2,3,4]", ONE, ONE, ONE), ("[1,2\n,3,4]", None, None, ONE), ("[1,\n2,3,4]", None, ONE, ONE),
    ("x1=1 y1=2 x2=3 y2=4", None, None, (1.0, 1.0, 2.0, 2.0)), ("[[1,2,3,4", None, None, ONE),
    ("[1e0, 2, 3, 4]", ONE, None, ONE), ("[+1, 2, 3, 4]", ONE, None, ONE),
    ("[.5, 2, 3, 4]", (0.5, 2.0, 3.0, 4.0), None, (0.5, 2.0, 3.0, 4.0)),
    ("[-1, 2, 3, 4]", (-1.0, 2.0, 3.0, 4.0), (-1.0, 2.0, 3.0, 4.0), (-1.0, 2.0, 3.0, 4.0)),
    ("[1,2,3,4,5]", ONE, None, ONE), ("[1.0, 2.0, 3.0, 4.0]", ONE, ONE, ONE),
    ("[a, b, c, d] [1,2,3,4]", None, ONE, ONE), ("框[1,2,3,4]", ONE, ONE, ONE),
]  # fmt: skip


@pytest.mark.parametrize(("text", "official", "lmms", "kit"), BOXES)
def test_boxes_are_read_by_each_house(text: str, official: object, lmms: object, kit: object) -> None:
    if text.startswith("[1,2,3,4,5"):  # the last text is "4,5": no number
        official = None
    assert official_box(text) == official
    assert plain_box(text) == lmms
    if "x1=1" in text:  # the digits of the names are numbers too
        assert spaced_box(text) == (1.0, 1.0, 1.0, 2.0)
    else:
        assert spaced_box(text) == kit


def asked(box: list[float], width: float = 200, height: float = 100, **fields: object) -> Reference:
    return Reference((), fields={"bbox": box, "width": width, "height": height, **fields})


HITS = [  # answer, right box in pixels of 200 by 100, official, lmms-eval, VLMEvalKit
    ("[[0, 0, 500, 500]]", [0, 0, 100, 50], 1, 0, 1), ("[0, 0, 0.5, 0.5]", [0, 0, 100, 50], 1, 1, 1),
    ("[[0, 0, 500, 500]]", [0, 0, 200, 50], 1, 0, 1), ("[[0, 0, 499, 500]]", [0, 0, 200, 50], 0, 0, 0),
    ("[0, 0, 1, 1]", [0, 0, 200, 100], 1, 1, 1), ("[0, 0, 1, 1.2]", [0, 0, 200, 100], 1, 1, 1),
    ("[1, 1, 1, 1]", [0, 0, 200, 100], 0, 0, 0), ("none", [0, 0, 200, 100], 0, 0, 0),
    ("none", [0, 0, 0, 0], 0, 0, 0), ("[[500, 500, 0, 0]]", [0, 0, 100, 50], 0, 0, 1),
    ("[[0, 0, 1001, 1001]]", [0, 0, 200, 100], 1, 0, 1), ("[nan, 0, 1, 1]", [0, 0, 200, 100], 0, 0, 0),
    ("[inf, 0, 1, 1]", [0, 0, 200, 100], 0, 0, 0), ("[0 0 1000 1000]", [0, 0, 200, 100], 0, 0, 1),
]  # fmt: skip


@pytest.mark.parametrize(("text", "box", "official", "lmms", "kit"), HITS)
def test_a_hit_is_half_of_the_union(text: str, box: list[float], official: int, lmms: int, kit: int) -> None:
    assert refcoco_scorer()(text, asked(box)).score == official
    assert refcoco_scorer("lmms-eval")(text, asked(box)).score == lmms
    assert refcoco_scorer("vlmevalkit")(text, asked(box)).score == kit


def test_the_right_box_may_stand_in_any_form() -> None:
    text = "[[0, 0, 500, 500]]"
    for settings, reference in [
        ({}, asked([0, 0, 100, 50])),
        ({}, Reference((), fields={"bbox": "[0, 0, 100.0, 5e1]", "width": 200, "height": 100})),
        ({"form": "xywh"}, asked([0, 0, 100, 50])),
        ({"unit": "share"}, asked([0, 0, 0.5, 0.5])),
        ({"unit": "thousand"}, asked([0, 0, 500, 500])),
        ({"box": ["x1", "y1", "x2", "y2"]}, asked([], x1=0, y1=0, x2=100, y2=50)),
        ({"box": "none"}, Reference(("[0, 0, 100, 50]",), fields={"width": 200, "height": 100})),
        ({"size": "wh"}, Reference((), fields={"bbox": [0, 0, 100, 50], "wh": [200, 100]})),
    ]:
        assert refcoco_scorer(**settings)(text, reference).parts["iou"] == 1.0
    with pytest.raises(ValueError, match="right box: 'bbox' holds .* give four finite numbers"):
        refcoco_scorer()(text, asked([1, 2, 3]))
    with pytest.raises(ValueError, match="picture's size: 'width' and 'height' hold"):
        refcoco_scorer()(text, asked([0, 0, 1, 1], width=0))
    with pytest.raises(ValueError, match="form is 'xyyx': give one of xyxy, xywh"):
        refcoco_scorer(form="xyyx")


def test_rsvg_counts_the_last_pixel_and_wants_more_than_half() -> None:
    scorer = rsvg_scorer()
    half = scorer("[[0, 0, 500, 1000]]", asked([0, 0, 199, 99]))
    assert half.parts["iou"] == pytest.approx(101 * 100 / (101 * 101 + 200 * 100 - 101 * 100))
    assert half.score == 1
    assert official_overlap((0, 0, 9, 9), (0, 0, 9, 19), pixel=1) == 0.5
    assert official_overlap((0, 0, 9, 9), (20, 20, 30, 30), pixel=1) == 0
    for text in (
        "[0, 0, 500, 1000]",
        "[[0, 0, 500]]",
        "[[0, 0, 1000, 1000], [1, 2, 3, 4]]",
        '[["0", 0, 1, 1]]',
        "",
    ):
        assert listed_box(text, (200, 100)) is None and scorer(text, asked([0, 0, 199, 99])).score == 0
    assert listed_box("[[-5, 0, 2000, 1e3]]", (200, 100)) == (0.0, 0.0, 200.0, 100.0)


CLICKS = [  # answer, what each rule reads
    ("[[100, 200, 300, 400]]", (0.2, 0.3), (0.2, 0.3), None),
    ("x=0.5, y=0.25", (0.5, 0.25), (0.5, 0.25), None), ("click(x=5, y=7)", (5.0, 7.0), (5.0, 7.0), None),
    ("x: 30%, y: 40%", (0.0, 0.0), (0.3, 0.4), None), ("[0.2, 0.3]", (0.0, 0.0), (0.2, 0.3), (0.2, 0.3)),
    ("(20%, 30%)", (0.0, 0.0), (0.2, 0.3), None),
    ("<point>[[200, 300]]</point>", (0.0, 0.0), (200.0, 300.0), (0.2, 0.3)),
    ("[[200, 300]]", (0.0, 0.0), (200.0, 300.0), (0.2, 0.3)),
    ("[[100,200,300,400]]", (0.0, 0.0), (100.0, 200.0), (0.2, 0.3)),
    ("<bbox>0 0 1 1</bbox>", (0.0, 0.0), (0.5, 0.5), None),
    ("box 0 0 1 0.5", (0.0, 0.0), (0.5, 0.25), None), ("at 0.1 0.2", (0.0, 0.0), (0.1, 0.2), None),
    ("nothing", (0.0, 0.0), None, None), ("x=1.2.3, y=4", None, (1.2, 4.0), None),
    ("(0, 1)", (0.0, 0.0), (0.0, 1.0), (0.0, 1.0)), ("", (0.0, 0.0), None, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "official", "lmms", "marked"), CLICKS)
def test_points_are_read_by_each_rule(text: str, official: object, lmms: object, marked: object) -> None:
    assert click_point(text) == official
    if text != "[[100, 200, 300, 400]]":  # four numbers and no word for box: the first two
        assert any_numbers(text) == lmms
    else:
        assert any_numbers(text) == (100.0, 200.0)
    boxed = text.replace(" ", "") == "[[100,200,300,400]]"
    assert marked_point(text) == (pytest.approx((0.2, 0.3)) if boxed else marked)


def test_a_click_counts_inside_the_box_and_on_its_border() -> None:
    right = asked([20, 10, 40, 20])  # x, y, width, height: 20 to 60, 10 to 30 of 200 by 100
    assert click_scorer()("x=0.1, y=0.1", right).score == 1
    assert click_scorer()("x=0.295, y=0.29", right).score == 1
    assert click_scorer()("x=0.3, y=0.29", right).score == 0  # the box ends one pixel earlier
    assert click_scorer("marked")("[[300, 300]]", right).score == 1
    assert click_scorer("marked")("[[301, 300]]", right).score == 0
    assert click_scorer()("x=40, y=20", right).score == 1  # pixels
    assert click_scorer("lmms-eval")("no numbers", right).extracted is None
    assert (
        click_scorer("lmms-eval", form="xyxy", unit="share")("[0.5, 0.5]", asked([0, 0, 0.5, 0.5])).score == 1
    )


def test_figures_of_splits_and_thresholds() -> None:
    scorer = refcoco_scorer()
    graded = [
        Graded(str(at), text, scorer(text, reference), reference)
        for at, (text, reference) in enumerate(
            [
                ("[[0, 0, 1000, 1000]]", asked([0, 0, 200, 100], split="a")),
                ("", asked([0, 0, 200, 100], split="a")),
                ("[[0, 0, 1000, 800]]", asked([0, 0, 200, 100], split="b")),
            ]
        )
    ]
    found = box_figures("split")(graded)
    assert (found["split=a"], found["split=b"], found[OVERALL]) == (50, 100, 75)
    assert found["iou"] == pytest.approx(60) and found["at 0.9"] == pytest.approx(100 / 3)
    assert box_figures()(graded)[OVERALL] == pytest.approx(200 / 3)


def test_figures_of_screens() -> None:
    rows = [("text", "android", 1), ("icon", "ios", 0), ("icon", "windows", 1), ("text", "shop", 1)]
    scorer = click_scorer("marked", unit="share", form="xyxy")
    graded = []
    for at, (kind, source, right) in enumerate(rows):
        reference = asked([0, 0, 0.5, 0.5], data_type=kind, data_source=source)
        graded.append(
            Graded(str(at), "", scorer("[0.1, 0.1]" if right else "[0.9, 0.9]", reference), reference)
        )
    found = screen_figures()(graded)
    assert found == {OVERALL: 75, "desktop": 100, "desktop_icon": 100, "icon": 50, "mobile": 50} | {
        "mobile_icon": 0, "mobile_text": 100, "text": 100, "web": 100, "web_text": 100,
    }  # fmt: skip


CAMERAS = [
    ("<c1,CAM_FRONT,[500, 250]>", "<c1,CAM_FRONT,800.0,450.0>"),
    (" <c2,CAM_BACK_LEFT,[0, 1000]> ", "<c2,CAM_BACK_LEFT,0,900>"),
    ("<c1,CAM_FRONT,[0, 1000]>", "<c1,CAM_FRONT,0,900>"),
    ("<c1, CAM_FRONT,[500, 250]>", "<c1, CAM_FRONT,[500, 250]>"),
    ("<c1,CAM_TOP,[500, 250]>", "<c1,CAM_TOP,[500, 250]>"),
    ("<c1,CAM_FRONT,[.5, 250]>", "<c1,CAM_FRONT,[.5, 250]>"),
    ("go to <c1,CAM_BACK,[333.4,750]>, stop", "go to <c1,CAM_BACK,0.3,450.0>, stop"),
    ("nothing", "nothing"), ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "restored"), CAMERAS)
def test_points_go_back_to_their_camera(text: str, restored: str) -> None:
    assert restore_cameras(text) == restored


SIDES = st.integers(0, 1000)


@given(SIDES, SIDES, SIDES, SIDES)
def test_a_box_in_any_writing_has_the_same_overlap(x: int, y: int, right: int, below: int) -> None:
    x0, x1 = sorted((x, right + 1))
    y0, y1 = sorted((y, below + 1))
    reference = asked([20, 10, 150, 90])
    written = [
        f"<box>[[{x0}, {y0}, {x1}, {y1}]]</box>",
        f"[{x0},{y0},{x1},{y1}]",
        f"[[{x0}.0,{y0}.0,{x1}.0,{y1}.0]]",
    ]
    assert len({refcoco_scorer()(text, reference).parts["iou"] for text in written}) == 1


@given(st.text(max_size=50))
def test_any_text_is_scored(text: str) -> None:
    reference = asked([20, 10, 150, 90])
    for rules in ("official", "vlmevalkit", "lmms-eval"):
        assert math.isfinite(refcoco_scorer(rules)(text, reference).parts["iou"])
        assert click_scorer(rules)(text, reference).score in (0, 1)
    rsvg_scorer()(text, reference)
    restore_cameras(text)


@given(st.tuples(*[st.floats(-2000, 2000)] * 4))
def test_a_stretched_box_lies_in_the_picture(box: tuple[float, float, float, float]) -> None:
    x0, y0, x1, y1 = stretched(box, (200, 100))
    assert 0 <= x0 <= x1 <= 200 and 0 <= y0 <= y1 <= 100


@pytest.mark.parametrize(
    "text", ["[," * 10_000, "[" * 10_000, "[[1,2,3," * 3_000, "x=1 " * 10_000, "7" * 10_000]
)
def test_long_answers_end_at_once(text: str) -> None:
    """The published expressions take minutes for some of these."""
    reference = asked([20, 10, 150, 90])
    for rules in ("official", "vlmevalkit", "lmms-eval"):
        assert refcoco_scorer(rules)(text, reference).score == 0
        click_scorer(rules)(text, reference)
    assert rsvg_scorer()(text, reference).score == 0
