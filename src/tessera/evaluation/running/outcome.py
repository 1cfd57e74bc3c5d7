"""Answered questions to what a run leaves: verdicts, figures with intervals, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessera.evaluation.comparing.intervals import Intervals, interval_of
from tessera.evaluation.comparing.resampling import same_media
from tessera.evaluation.robustness.summary import robustness_of
from tessera.evaluation.running.folder import write_predictions, write_result
from tessera.evaluation.running.grading import BenchmarkGrading, Replies
from tessera.evaluation.running.plan import BenchmarkPlan
from tessera.runtime.progress import Bars, silent
from tessera.scoring.verdict import OVERALL, Graded

MOST_FAULTS = 3


@dataclass
class RunOutcome:
    """What came of a benchmark. figures: by name, `overall` the headline; none where nothing was answered."""

    plan: BenchmarkPlan
    folder: Path
    blind: bool = False
    graded: list[Graded] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    media: dict[str, list[str]] = field(default_factory=dict)
    """files of each question"""
    cut_off: list[str] = field(default_factory=list)
    """indexes of answers that ended because their tokens ran out"""
    tokens: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    intervals: Intervals | None = None
    robustness: Mapping[str, Intervals] = field(default_factory=dict)

    @property
    def headline(self) -> float | None:
        """The figure that papers quote."""
        return self.figures.get(OVERALL)

    def words(self) -> list[str]:
        """What a reader must know beside the figures."""
        told = [f"not answered: {fault}" for fault in self.faults[:MOST_FAULTS]]
        if len(self.faults) > MOST_FAULTS:
            told.append(f"and {len(self.faults) - MOST_FAULTS} more without an answer")
        if self.cut_off:
            told.append(f"{len(self.cut_off)} answers were cut off by new_tokens")
        unread = sum(graded.verdict.extracted is None for graded in self.graded)
        if unread:
            told.append(f"in {unread} answers nothing could be read")
        expected = self.plan.benchmark.questions
        asked = len(self.plan.items)
        if expected is not None and asked != expected:
            told.append(f"{asked} questions; the published figure has {expected}")
        return told


def settle(
    plan: BenchmarkPlan,
    folder: Path,
    grading: BenchmarkGrading,
    replies: Replies,
    settings: Mapping[str, Any],
    bars: Bars = silent,
) -> RunOutcome:
    """Judge all answers, write both files of the run's folder, and add up. Verdicts stay in memory."""
    outcome = RunOutcome(plan, folder, grading.asking.blind)
    write_predictions(folder, _lines(outcome, grading, replies, bars))
    return figured(outcome, settings)


def figured(outcome: RunOutcome, settings: Mapping[str, Any]) -> RunOutcome:
    """With its figures, written to the run's folder."""
    plan = outcome.plan
    if outcome.graded:
        outcome.figures = dict(plan.aggregate(outcome.graded))
        unit = plan.unit or same_media(outcome.media)
        outcome.intervals = interval_of(outcome.graded, plan.aggregate, unit)
        outcome.robustness = robustness_of(outcome.graded, unit, frozenset(outcome.cut_off))
    write_result(outcome.folder, _values(outcome, settings))
    return outcome


def _lines(
    outcome: RunOutcome, grading: BenchmarkGrading, replies: Replies, bars: Bars
) -> Iterator[dict[str, Any]]:
    items = outcome.plan.items
    for number, row in enumerate(grading.rows(items, replies), 1):
        bars(f"{outcome.plan.benchmark.name}: judged", number, len(items))
        if row.fault:
            outcome.faults.append(f"question {row.graded.index}: {row.fault}")
            continue
        outcome.graded.append(row.graded)
        outcome.media[row.graded.index] = row.line["media"]
        if row.line["finish"] == "length":
            outcome.cut_off.append(row.graded.index)
        outcome.tokens += row.line["tokens"]
        yield row.line


def _values(outcome: RunOutcome, settings: Mapping[str, Any]) -> dict[str, Any]:
    benchmark = outcome.plan.benchmark
    intervals = outcome.intervals
    return {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "metric": benchmark.metric or benchmark.scorer.name,
        "preset": outcome.plan.rules.preset,
        **{name: settings[name] for name in ("model",) if name in settings},
        "figures": dict(outcome.figures),
        "intervals": {} if intervals is None else {name: list(bounds) for name, bounds in intervals.items()},
        "estimates": {} if intervals is None else intervals.as_json(),
        "questions": len(outcome.plan.items),
        "answered": len(outcome.graded),
        "faults": outcome.faults[:100],
        "robustness": {name: found.as_json() for name, found in outcome.robustness.items()},
        "answer_tokens": outcome.tokens,
        "notes": outcome.words(),
        "published": benchmark.published,
        "settings": {**outcome.plan.settings(), **settings},
    }
