"""Pages: every block well-formed and escaped, nothing from outside, empty sections left out."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import PIL.Image
import pytest

from tessera.pages.blocks import (
    BarCell,
    MarkedText,
    NamedBox,
    PackDrawing,
    PackedSample,
    Piece,
    SampleCard,
    SampleCards,
    ShownMedia,
    SideBySide,
    Table,
    TextComparison,
    histogram,
)
from tessera.pages.chart import Chart, moving_mean
from tessera.pages.page import HtmlPage, ReviewPage, data_address, render, write_page
from tests.pages.markup import check_well_formed

EVIL = "\"'</style><script>alert(1)</script><img src=x onerror=alert(2)>&"
PICTURE = PIL.Image.new("RGB", (8, 6), "red")
PACKS = PackDrawing(
    [[PackedSample(EVIL, 30, 2, 1), PackedSample("b", 20)], [PackedSample("c", 10, 1)]], 64, 4, [EVIL, "b"]
)


def every_block(text: str) -> HtmlPage:
    """A page of all kinds of blocks with the text wherever a text goes."""
    media = ShownMedia(
        text,
        PICTURE,
        (PICTURE, PICTURE),
        3,
        2,
        (NamedBox(text, (10, 20, 900, 800)), NamedBox("", (0, 0, 1, 1))),
    )
    pieces = (Piece(text, (1, 2), 0.5), Piece("\n  two", (3,), 0.0), Piece("<img>", (4,), 0.0, "control"))
    card = SampleCard(
        [text, "file:1"],
        [media, ShownMedia(text), ShownMedia(picture=PICTURE, height=90)],
        [("good", text)],
        pieces,
    )
    blocks = [
        text,
        Table(
            (text, "n"), [(text, 1234), ("sum", BarCell(0.75, text, text, (0.5, 1.0)))], text, strong=["sum"]
        ),
        Table((text, "n"), [(text, text)], words=True),
        SideBySide([histogram(text, ["0", "1", text], [0, 3, 4]), Chart(text, [(1, 2.0), (9, 0.5)])]),
        Chart(text, [(1, 2.0)]),
        PACKS,
        SampleCards([card], narrow=True),
        TextComparison([text], text, [MarkedText(text, [(True, text), (False, text)], True)], [media]),
    ]
    return HtmlPage(
        text, text, [(text, blocks), ("nothing here", [Table(("a",), ()), SideBySide([]), SampleCards([])])]
    )


def test_every_block_is_well_formed_and_escaped() -> None:
    html = render(every_block(EVIL))
    check_well_formed(html)
    assert "<script" not in html and "onerror=alert(2)>" not in html and "&lt;script&gt;" in html
    assert "nothing here" not in html


def test_a_page_needs_nothing_from_outside() -> None:
    html = render(every_block("x"))
    assert all(source.startswith("data:image/") for source in re.findall(r'(?:src|href)="([^"]*)"', html))
    assert "default-src 'none'" in html and "http" not in html.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in html and "width=device-width" in html


def test_texts_keep_their_spaces_and_weights() -> None:
    html = render(every_block("say"))
    assert (
        '<b title="weight 0.5, token 1 2">say</b>\n  two<span class="control">&lt;img&gt;</span></p>' in html
    )


def test_tokens_behind_the_thousandth_are_counted() -> None:
    card = SampleCard(["a"], pieces=[Piece("x", (1,), 1.0)] * 3500)
    html = render(HtmlPage("t", "", [("s", [SampleCards([card])])]))
    assert html.count("<b title") == 1000 and "and 2,500 more tokens" in html


def test_histogram_leaves_empty_ends_out_and_marks_the_last_bar() -> None:
    table = histogram("h", ["0", "1", "2", "3", "> 3"], [0, 4, 0, 8, 0])
    assert [(row[0], row[1]) for row in table.rows] == [
        ("1", BarCell(0.5, "4")),
        ("2", BarCell(0.0, "0")),
        ("3", BarCell(1.0, "8")),
    ]
    assert histogram("h", ["0", "> 0"], [0, 5]).rows == [("> 0", BarCell(1.0, "5", over=True))]
    assert histogram("h", ["0", "> 0"], [0, 0]).rows == [("0", BarCell(0.0, "0"))]


def test_packs_are_as_long_as_their_tokens() -> None:
    html = render(HtmlPage("t", "", [("s", [PACKS])]))
    widths = [float(width) for width in re.findall(r'class="sample" style="width:([\d.]+)%', html)]
    assert widths == [46.875, 31.25, 50.0, 15.625, 25.0]
    assert (
        "2 packs of 64 tokens (upper bar) and 4 tiles (lower bar) with\n3 samples: tokens 46.9% full" in html
    )


def test_chart_and_packs_refuse_impossible_values() -> None:
    with pytest.raises(ValueError, match="nan at step 3"):
        Chart("s", [(2, 1.0), (3, float("nan"))])
    with pytest.raises(ValueError, match="30 tokens, more than the capacity 20"):
        PackDrawing([[PackedSample("a", 10), PackedSample("b", 20)]], 20)


def test_a_linear_curve_names_its_ends() -> None:
    """Shares and speeds lie on a linear scale, where zero has a place."""
    chart = Chart("s", [(0, 0.0), (1, 2440.0), (2, 1220.0)], "tokens/s", "linear")
    assert [label for label, _ in chart.ticks] == ["0", "2,440"]
    assert [float(point.split(",")[1]) for point in chart.line(chart.measured).split()] == [128, 8, 68]
    assert "tokens/s 0 → 1.83e+03" in render(HtmlPage("t", "", [("s", [chart])]))
    assert [label for label, _ in Chart("s", [(0, 1.0), (1, 1.0)], "x", "linear").ticks] == ["1"]


def test_a_curve_of_few_points_as_it_is_beside_others() -> None:
    chart = Chart(
        "s", [(1, 20.0), (2, 40.0)], "%", "linear", axis="candidates:", smoothed=False, span=(0.0, 80.0)
    )
    assert chart.smooth == [20.0, 40.0] and chart.ends == (20.0, 40.0)
    assert [label for label, _ in chart.ticks] == ["0", "80"]
    heights = [float(point.split(",")[1]) for point in chart.line(chart.measured).split()]
    assert heights == [98.0, 68.0], "a quarter and a half of the way up"
    assert ">candidates: 1<" in render(HtmlPage("t", "", [("s", [chart])]))


def test_curve_falls_from_left_to_right() -> None:
    html = render(HtmlPage("t", "", [("s", [Chart("s", [(i, 2.0**-i) for i in range(10)])])]))
    points = re.search(r'class="thick" points="([^"]*)"', html)
    assert points is not None
    heights = [float(point.split(",")[1]) for point in points[1].split()]
    assert heights == sorted(heights), "SVG counts downwards"


@pytest.mark.parametrize(
    ("losses", "labels"),
    [([6.8, 0.9], ["1", "2", "5"]), ([4.0, 3.0], ["3", "4"]), ([2.0, 2.0], ["2", "2"]), ([1.0, 0.0], None)],
)
def test_ticks_are_round_where_two_fit_in(losses: list[float], labels: list[str] | None) -> None:
    ticks = Chart("s", list(enumerate(losses))).ticks
    assert labels is None or [label for label, _ in ticks] == labels
    assert all(8 <= y <= Chart.floor for _, y in ticks)


def test_moving_mean_of_a_constant_is_the_constant() -> None:
    assert moving_mean([2.0] * 5, 3) == [2.0] * 5


def test_review_data_reads_back_and_cannot_end_its_script() -> None:
    html = render(ReviewPage("r", {"text": EVIL + "\u2028 猫", "samples": []}))
    check_well_formed(html)
    assert html.count("<script") == 2 and html.count("</script>") == 2
    assert "猫" in html, "not blown up to escapes"


def test_half_a_character_does_not_lose_the_page(tmp_path: Path) -> None:
    file = write_page(tmp_path / "deep" / "page.html", HtmlPage("half \ud800", "", []))
    assert "half \\ud800" in file.read_text(encoding="utf-8")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="name a file in a folder"):
        write_page(tmp_path / "file" / "page.html", HtmlPage("t", "", []))


def test_a_name_that_a_template_lacks_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render(HtmlPage("t", "", [("s", [object()])]))  # type: ignore[list-item]


def test_pictures_become_addresses() -> None:
    assert data_address(PICTURE).startswith("data:image/jpeg;base64,")
    assert data_address(PICTURE, exact=True).startswith("data:image/png;base64,")
