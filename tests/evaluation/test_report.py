"""The report page: complete, self-contained, and safe with whatever a model says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tessera.evaluation.report import Report, StageResult, mixed_samples, report_page
from tessera.evaluation.runner import TaskResults, gather, grade_answer
from tessera.evaluation.tasks import heldout_items
from tessera.pages.page import render, write_page
from tests.pages.markup import check_well_formed


def results(prediction: str | None, mode: str = "picture") -> TaskResults:
    """Answers to two questions of five tasks; None answers rightly."""
    items = [
        i for task in ("count", "arithmetic", "compare", "motion", "box") for i in heldout_items(task, 2)
    ]
    answers = [grade_answer(i, i.question.answer if prediction is None else prediction) for i in items]
    return TaskResults(mode, gather(answers), 100, 10, 1.0)  # type: ignore[arg-type]


def page(prediction: str | None = None) -> str:
    losses = [(step, 5.0 / (step + 1)) for step in range(40)]
    stages = [
        StageResult("first", results("red"), losses, 1234.0, 0.9),
        StageResult("last", results(prediction)),
    ]
    report = Report("A <title>", stages, results("red", "blind"), {"commit": "abc"}, [[10, 20], [25]], 32)
    return render(report_page(report))


def test_page_is_well_formed() -> None:
    check_well_formed(page())


def test_page_needs_nothing_outside() -> None:
    sources = re.findall(r'(?:src|href)="([^"]*)"', page())
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<script" not in page()


def test_page_names_stages_tasks_baseline_and_settings() -> None:
    text = page()
    for word in (
        "first",
        "last",
        "text only",
        "arithmetic, every step",
        "100.0 %",
        "1,234",
        "90.0%",
        "abc",
    ):
        assert word in text
    assert "A &lt;title&gt;" in text


def test_answers_are_escaped() -> None:
    """A model may well answer in tags: boxes are written in them."""
    assert "<script>alert" not in page("<script>alert(1)</script>")
    assert "&lt;ref&gt;" in page()


def test_wrong_answers_show_the_expected_one() -> None:
    assert page().count("expected:") == 0
    assert page("nonsense").count("expected:") == 10


def test_samples_take_every_task_in_turn() -> None:
    tasks = [answer.item.question.task for answer in mixed_samples(results(None))]
    assert tasks[:5] == ["count", "arithmetic", "compare", "motion", "box"]


def test_write_makes_folders(tmp_path: Path) -> None:
    report = Report("t", [StageResult("only", results(None))])
    file = write_page(tmp_path / "deep" / "r.html", report_page(report))
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_report_without_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="stages: none given"):
        Report("t", [])
