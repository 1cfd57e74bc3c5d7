"""The page of a run, and one answer explained."""

import json
from pathlib import Path

import pytest

from tessera.evaluation.comparing.explain import explain
from tessera.evaluation.comparing.intervals import Intervals, interval_of
from tessera.evaluation.comparing.run_page import RunReport, run_page
from tessera.evaluation.comparing.stored import StoredRun
from tessera.evaluation.robustness.summary import robustness_of
from tessera.pages.page import render
from tests.evaluation.graded import Mean, graded
from tests.evaluation.run_folders import line, write_run
from tests.pages.markup import check_well_formed


def scored_run(folder: Path, lines: list[dict], **told: object) -> StoredRun:  # type: ignore[type-arg]
    scores = [row["score"] for row in lines]
    estimates = interval_of(graded(scores), Mean()).as_json()
    return StoredRun.read(write_run(folder, lines, estimates=estimates, **told))


def test_page(tmp_path: Path) -> None:
    lines = [line(n, n % 2, fields={"category": f"c<{n % 3}>"}) for n in range(400)]
    lines[4] |= {"extracted": None, "prediction": "well & good", "why": "neither yes nor no"}
    lines[5] |= {"score": 0.5}
    published = {"InternVL2.5": {"2.5-1B": 49.9, "2.5-8B": 90.6}}
    run = scored_run(
        tmp_path / "run",
        lines,
        title="POPE <val>",
        metric="F1",
        published=published,
        settings={"tiles": 6, "scorer": {"name": "pope"}},
        notes=["2 answers were cut off"],
        robustness={name: found.as_json() for name, found in robustness_of(graded([1, 0])).items()},
    )
    page = render(run_page(run, RunReport.of(run)))
    check_well_formed(page)
    for words in (
        "POPE &lt;val&gt;",
        "F1: 49.88 (95 %:",
        "on 400 questions",
        ">within<",
        ">outside<",
        "-40.7",
        "60 of 199 wrong, 1 of 1 partly right, 60 of 199 right",
        "1 of 1 no answer found",
        "neither yes nor no",
        "well &amp; good",
        "yes bias",
        "scorer.name",
        "2 answers were cut off",
        "<option>c&lt;1&gt;</option>",
    ):
        assert words in page, words
    assert page.count("<article") == 122
    assert page.index("well &amp; good") < page.index("question 0<")


def test_page_of_a_sum(tmp_path: Path) -> None:
    """MME's 2,000 points are no percent: figures without bars."""
    run = scored_run(tmp_path / "run", [line(n, 20) for n in range(3)])
    page = render(run_page(run, RunReport.of(run)))
    check_well_formed(page)
    assert "2,000.00" in page and 'class="bar"' not in page


def test_run_without_figures(tmp_path: Path) -> None:
    for estimates in ({}, {"figures": [1]}, {"figures": {}, "questions": 1, "units": 1}):
        run = StoredRun.read(
            write_run(tmp_path / str(len(str(estimates))), [line(1, 1)], estimates=estimates)
        )
        with pytest.raises(ValueError, match=r"estimates: .*no figures; score the run again"):
            RunReport.of(run)


def test_intervals_come_back_from_json() -> None:
    found = interval_of(graded([1]), Mean())
    assert (
        Intervals.from_json(json.loads(json.dumps(found.as_json()).replace("NaN", "null")))["overall"]
        == (found["overall"])
    )


def test_explained_answer(tmp_path: Path) -> None:
    row = line(
        17,
        0,
        prompt="<image>\nWhich?\nA. cat",
        media=["/data/a.png", "/data/b.mp4"],
        tiles=[[3, 2], [1, 1]],
        extracted="B",
        why="not A",
        finish="length",
        fields={"category": "x", "long": "y" * 5000},
        parts={"letter": "B"},
        seed=3,
    )
    folder = write_run(tmp_path / "run", [line(1, 1), row])
    found = explain(folder, "17")
    told = dict(found.lines())
    assert told["run"] == "pope, official, toy"
    assert told["prompt, as the model was given it"] == "<image>\nWhich?\nA. cat"
    assert told["pictures and clips"] == "/data/a.png: 3 x 2 tiles\n/data/b.mp4: 1 x 1 tiles"
    assert told["ended"].startswith("cut off") and told["score"] == "0: not A"
    assert told["taken for the answer"] == "B" and told["parts of the score"] == "letter: B"
    assert len(told["columns"]) < 400 and told["also stored"] == "seed: 3"
    assert json.loads(json.dumps(found.as_json()))["answer"]["media"][1]["kind"] == "video"


def test_explained_messages_and_what_is_missing(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}]
    folder = write_run(
        tmp_path / "run",
        [line(1, 1, prompt=messages, tiles=None, tokens=None, prediction="", extracted=None)],
    )
    told = dict(explain(folder, "1").lines())
    assert told["prompt, as the model was given it"] == "[system] Be brief.\n[user] Which?"
    assert told["reply"] == "(empty)" and told["taken for the answer"] == "nothing"
    assert "pictures and clips" not in told and "tokens" not in told
    with pytest.raises(ValueError, match="index '2' is not in .*; it has 1: 1"):
        explain(folder, "2")
