"""The table of the alignment experiment, its questions, and the shares it measures."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from tessera.align.asking import Questions
from tessera.evaluation.runner import grade_answer
from tessera.evaluation.tasks import heldout_items
from tessera.scoring.reasoned.steps import grade_reasoned, judge_steps


@pytest.fixture(scope="module")
def script(repo_root: Path) -> dict[str, Any]:
    """What the script defines."""
    return runpy.run_path(str(repo_root / "benchmarks" / "alignment.py"))


def test_the_table_has_means_spreads_and_gains(script: dict[str, Any], tmp_path: Path) -> None:
    figures = {"wrong_step": 40.0, "lucky": 10.0, "tokens": 50.0}
    for seed, (before, behind) in enumerate(((50.0, 54.0), (52.0, 58.0))):
        for model, steps, right in (("policy", 0, before), ("mpo", 60, behind)):
            script["note"](
                tmp_path, {"seed": seed, "model": model, "steps": steps, "right": right, **figures}
            )
    found = script["table"](script["rows"](tmp_path))
    assert "| mpo | 60 | 2 | 56.0 ± 2.8 | +5.0 ± 1.4 | 40.0 ± 0.0 | 10.0 ± 0.0 | 50.0 ± 0.0 |" in found


def test_questions_can_be_asked_and_their_solutions_hold(script: dict[str, Any], tmp_path: Path) -> None:
    script["write_questions"](tmp_path, seed=3, count=12)
    records = [json.loads(line) for line in (tmp_path / "questions.jsonl").open()]
    assert len(list(Questions(tmp_path / "questions.jsonl"))) == 12
    for record in records:
        assert (tmp_path / record["image"]).is_file()
        assert grade_reasoned(record["answer"], record["solution"])
        assert all(judge_steps(record["solution"], record["solution"]))


def test_shares_tell_luck_from_reasoning(script: dict[str, Any]) -> None:
    item = heldout_items("reason", 1)[0]
    final, wrong = item.question.final, "red 99."
    said = (
        item.question.answer,
        f"{wrong}\n\nFinal answer: {final}",
        f"{wrong}\n\nFinal answer: none",
        "none",
    )
    graded = [grade_answer(item, text) for text in said]
    assert script["share"](graded, lambda each: each.right) == 50
    assert script["share"](graded, lambda each: not each.steps) == 75
    assert script["share"](graded, lambda each: each.right and not each.steps) == 25
