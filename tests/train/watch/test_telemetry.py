"""Steps that were no number in a run's files: JSON that every program reads, and every reader here copes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tessera.cli.training.run_page import write_run_page
from tessera.cli.training.watching import tracked
from tessera.train.watch.journal import Journal, read_reports
from tests.train.watch.test_spikes import report

SKIPPED = replace(report(1, math.nan), gradient_norm=math.inf, skipped=True, validation_loss=2.5)


def _strict(text: str) -> dict[str, object]:
    """As other programs read JSON."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    found: dict[str, object] = json.loads(text, parse_constant=refuse)
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three steps, the second one skipped."""
    journal = Journal(tmp_path, (0, 0))
    for step in (report(0, 1.5), SKIPPED, report(2, 1.25)):
        journal.write(step)
    journal.close()
    return tmp_path


def test_no_number_is_null(run: Path) -> None:
    lines = [_strict(line) for line in (run / "telemetry.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == [1.5, None, 1.25] and lines[1]["gradient_norm"] is None
    first, skipped, last = read_reports(run)
    assert first == report(0, 1.5) and last == report(2, 1.25)
    assert math.isnan(skipped.loss) and skipped.skipped and skipped.validation_loss == 2.5


def test_files_of_before_are_read_and_cut(run: Path) -> None:
    """They had the words NaN and Infinity, as Python writes them."""
    file = run / "telemetry.jsonl"
    old = [vars(step) for step in (report(0, 1.5), SKIPPED, report(2, 1.25))]
    file.write_text("".join(json.dumps(values) + "\n" for values in old))
    assert "NaN" in file.read_text() and [step.skipped for step in read_reports(run)] == [False, True, False]
    journal = Journal(run, (0, 2))  # goes on behind the skipped step
    journal.write(report(2, 1.0))
    journal.close()
    assert [step.step for step in read_reports(run)] == [0, 1, 2]
    assert [step.loss for step in read_reports(run)][::2] == [1.5, 1.0]


def test_the_page_counts_what_was_skipped(run: Path) -> None:
    """Its curve has no hole, and what was measured behind the skipped step is on it."""
    html = write_run_page(run).read_text(encoding="utf-8")
    assert "they were no number: 1" in html and "stage 0, held out: 1 step" in html and "nan" not in html


def test_a_tracker_gets_what_is_a_number() -> None:
    values = tracked(SKIPPED)
    assert values["train/validation_loss"] == 2.5 and all(map(math.isfinite, values.values()))
    assert "train/loss" not in values and "train/gradient_norm" not in values
