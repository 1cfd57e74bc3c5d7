"""The table of the alignment experiment, its questions, and the shares it measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.alignment import QUESTIONS, note, rows, share, table, write_questions
from tessera.align.asking import Questions
from tessera.evaluation.runner import Answered, grade_answer
from tessera.evaluation.tasks import heldout_items
from tessera.scoring.reasoned.steps import grade_reasoned, judge_steps


def test_the_table_has_means_spreads_and_gains(tmp_path: Path) -> None:
    for seed, (before, behind) in enumerate(((50.0, 54.0), (52.0, 58.0))):
        for model, right in (("policy", before), ("mpo", behind)):
            figures = {
                "steps": 0 if model == "policy" else 60,
                "right": right,
                "wrong_step": 40.0,
                "lucky": 10.0,
                "tokens": 50.0,
            }
            note(tmp_path, {"seed": seed, "model": model, **figures})
    assert len(rows(tmp_path)) == 4
    assert "| mpo | 60 | 2 | 56.0 ± 2.8 | +5.0 ± 1.4 | 40.0 ± 0.0 | 10.0 ± 0.0 | 50.0 ± 0.0 |" in table(
        rows(tmp_path)
    )


def test_questions_can_be_asked_and_their_solutions_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.alignment.QUESTIONS", 12)
    assert QUESTIONS == 1200
    write_questions(tmp_path, 3)
    records = [json.loads(line) for line in (tmp_path / "questions.jsonl").open()]
    assert len(list(Questions(tmp_path / "questions.jsonl"))) == 12
    for record in records:
        assert (tmp_path / record["image"]).is_file()
        assert grade_reasoned(record["answer"], record["solution"])
        assert all(judge_steps(record["solution"], record["solution"]))


def test_shares_tell_luck_from_reasoning() -> None:
    item = heldout_items("reason", 1)[0]
    final = item.question.final
    said = (
        item.question.answer,
        f"red 99.\n\nFinal answer: {final}",
        "red 99.\n\nFinal answer: none",
        "nothing",
    )
    graded: list[Answered] = [grade_answer(item, text) for text in said]
    assert share(graded, lambda each: each.right) == 50
    assert share(graded, lambda each: not each.steps) == 75
    assert share(graded, lambda each: each.right and not each.steps) == 25
