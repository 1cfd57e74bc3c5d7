"""Two runs: which questions are compared, what flipped, and the page to look through it."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tessera.evaluation.comparing.answer_cards import evenly
from tessera.evaluation.comparing.comparison import RunComparison, compare_folders, compare_runs
from tessera.evaluation.comparing.comparison_page import comparison_page
from tessera.evaluation.comparing.resampling import unit_of
from tessera.evaluation.comparing.stored import StoredRun
from tessera.pages.page import render
from tessera.scoring.verdict import OVERALL
from tests.evaluation.graded import Mean
from tests.evaluation.run_folders import line, write_run
from tests.pages.markup import check_well_formed


def compared(tmp_path: Path, one: list[dict], two: list[dict], **settings: object) -> RunComparison:  # type: ignore[type-arg]
    runs = [StoredRun.read(write_run(tmp_path / name, lines)) for name, lines in (("one", one), ("two", two))]
    return compare_runs(*runs, Mean(), unit=unit_of("picture"), **settings)  # type: ignore[misc,arg-type]


def test_questions_that_flipped(tmp_path: Path) -> None:
    kinds = [{"fields": {"category": "abc"[n % 3], "picture": f"p{n // 2}"}} for n in range(6)]
    one = [line(n, score, **kinds[n]) for n, score in enumerate([1, 0, 0.5, 1, 0, 0])]
    two = [line(n, score, **kinds[n]) for n, score in enumerate([0, 1, 1, 1, 0, 0])]
    two[4] |= {"extracted": "maybe"}
    found = compared(tmp_path, one, two[::-1])
    assert [(flip.kind, flip.one.index, flip.category) for flip in found.flips] == [
        ("lost", "0", "a"),
        ("gained", "1", "b"),
        ("gained", "2", "c"),
        ("other answer", "4", "b"),
    ]
    assert found.counts() == {
        OVERALL: {"lost": 1, "gained": 2, "other answer": 1},
        "b": {"gained": 1, "other answer": 1},
        "a": {"lost": 1},
        "c": {"gained": 1},
    }
    assert (found.questions, found.units) == (6, 3)
    assert list(found.figures) == [OVERALL, "a", "b", "c"]
    assert found.headline.difference == pytest.approx(100 * 0.5 / 6)
    assert json.loads(json.dumps(found.as_json()))["flips"][0]["scores"] == [1.0, 0.0]


def test_only_the_same_questions_are_compared(tmp_path: Path) -> None:
    one = [line(n, 1) for n in (1, 2, 3, 4, 5)]
    two = [line(n, 0) for n in (2, 3, 4, 5, 6, 7)]
    two[0] |= {"question": "  Is there a\n2? "}
    two[1] |= {"question": "Is there no 3?"}
    two[2] |= {"answers": ["no"]}
    found = compared(tmp_path, one, two)
    assert found.questions == 2 and found.headline.difference == -100
    assert found.unmatched.told() == [
        "1 in the first run alone: 1",
        "2 in the second run alone: 6, 7",
        "2 with another text or right answer: 3, 4",
    ]


def test_nothing_in_common(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="share no question: 1 in the first run alone: 1; 1 in"):
        compared(tmp_path, [line(1, 1)], [line(2, 1)])


def test_two_benchmarks_are_not_compared(tmp_path: Path) -> None:
    runs = [StoredRun.read(write_run(tmp_path / n, [line(1, 1)], benchmark=n)) for n in ("mme", "pope")]
    with pytest.raises(ValueError, match="'mme' and 'pope'"):
        compare_runs(*runs, Mean())


def test_settings_that_differ(tmp_path: Path) -> None:
    told = [
        {"model": "a", "settings": {"tiles": 6, "scorer": {"name": "anls", "lengths": "raw"}, "seed": 0}},
        {
            "model": "b",
            "settings": {"tiles": 12, "scorer": {"name": "anls"}, "seed": 0},
            "figures": {OVERALL: 1},
        },
    ]
    runs = [StoredRun.read(write_run(tmp_path / t["model"], [line(1, 1)], **t)) for t in told]  # type: ignore[operator]
    assert compare_runs(*runs, Mean()).settings == {
        "model": ("a", "b"),
        "tiles": (6, 12),
        "scorer.lengths": ("raw", None),
    }


def test_several_benchmarks(tmp_path: Path) -> None:
    for run, names in (("a", ("pope", "mme", "seed")), ("b", ("mme", "pope", "gqa"))):
        for name in names:
            write_run(tmp_path / run / name, [line(1, 1), line(2, run == "b")], benchmark=name)
    asked = []
    found = compare_folders(
        tmp_path / "a", tmp_path / "b", lambda result: asked.append(result.benchmark) or Mean()
    )
    assert sorted(found.runs) == sorted(asked) == ["mme", "pope"]
    assert (found.only_one, found.only_two) == (["seed"], ["gqa"])
    assert found.runs["mme"].headline.difference == 50
    write_run(tmp_path / "c" / "other", [line(1, 1)], benchmark="other")
    with pytest.raises(ValueError, match="has other: none is in both"):
        compare_folders(tmp_path / "a", tmp_path / "c", lambda result: Mean())


def test_page(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (900, 300), "red").save(tmp_path / "red.png")
    media = {
        "media": [{"path": str(tmp_path / "red.png")}, {"path": "gone.png"}]
        + [{"path": "x.mp4", "kind": "video"}] * 4
    }
    nasty = {"prediction": "<script>alert(1)</script> 答案 " + "long " * 3000}
    one = [line(n, 1, fields={"category": f"k{n % 2} & co"}, **media, **nasty) for n in range(3)]
    two = [line(n, 0, fields={"category": f"k{n % 2} & co"}, why="says no", **media) for n in range(3)]
    page = render(comparison_page(compared(tmp_path, one, two)))
    check_well_formed(page)
    for words in (
        'data-tag0="lost" data-tag1="k1 &amp; co"',
        "<option>k0 &amp; co</option>",
        "toy, official (second): taken: &#39;no&#39;, score 0, says no",
        "gone.png",
        "and 2 more",
        "characters left out",
        "3 of 3 lost",
        "right: yes",
        "-100.00",
    ):
        assert words in page, words
    assert "<script>alert" not in page and page.count("data:image/jpeg") == 3 and len(page) < 200_000


def test_page_of_equal_runs_has_no_script(tmp_path: Path) -> None:
    same = [line(n, n % 2) for n in range(8)]
    page = render(comparison_page(compared(tmp_path, same, same)))
    check_well_formed(page)
    assert "<script" not in page and "Nothing." in page


def test_cards_are_bounded_and_even(tmp_path: Path) -> None:
    page = render(
        comparison_page(
            compared(tmp_path, [line(n, 1) for n in range(999)], [line(n, 0) for n in range(999)])
        )
    )
    assert page.count("<article") == 80 and "80 of 999 lost" in page
    assert evenly(range(10), 4) == [0, 2, 5, 7] and np.ptp(np.diff(evenly(range(999), 80))) <= 1


def test_questions_about_the_same_picture_are_a_unit(tmp_path: Path) -> None:
    """Where the benchmark names no column, the files of pictures decide; texts stand alone."""
    media = [{"media": [f"/{n // 3}.png"]} for n in range(9)] + [{"media": []}] * 2
    runs = [
        StoredRun.read(write_run(tmp_path / name, [line(n, n % 2, **media[n]) for n in range(11)]))
        for name in ("one", "two")
    ]
    assert compare_runs(*runs, Mean()).units == 5
    named = [
        StoredRun.read(
            write_run(
                tmp_path / name, [line(n, 1, fields={"x": n % 2}) for n in range(4)], settings={"unit": "x"}
            )
        )
        for name in ("three", "four")
    ]
    assert compare_runs(*named, Mean()).units == 2


def test_runs_that_number_questions_differently(tmp_path: Path) -> None:
    """Two forms of ChartQA's data: lines from 1, and the table's index from 0."""
    one = [line(n + 1, n % 2, question=f"What is bar {n}?") for n in range(8)]
    two = [line(n, 1, question=f"What is  bar {n}?") for n in range(8)] + [line(20, 1)] * 1
    one.append(line(30, 1, question="Twice?"))
    one.append(line(31, 1, question="Twice?"))
    two.append(line(32, 1, question="Twice?"))
    one[3:3] = [line(40, 1, question="Here and there?"), line(41, 0, question="Here and there?")]
    two += [line(42, 1, question="Here and there?"), line(43, 1, question="Here and there?")]
    found = compared(tmp_path, one, two)
    assert found.by_words and found.questions == 10 and found.headline.difference == 50
    assert [flip.one.index for flip in found.flips] == ["1", "3", "41", "5", "7"]
    assert found.unmatched.told() == ["2 in the first run alone: 30, 31", "2 in the second run alone: 20, 32"]
    assert "matched by their words" in render(comparison_page(found))
    assert not compared(tmp_path / "again", one, one).by_words
