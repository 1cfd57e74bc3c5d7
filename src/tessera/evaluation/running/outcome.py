"""Answered questions to what a run leaves: verdicts, figures with intervals, and what went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tessera.evaluation.comparing.intervals import Intervals, interval_of
from tessera.evaluation.comparing.resampling import Unit, unit_of
from tessera.evaluation.robustness.summary import robustness_of, unrotated
from tessera.evaluation.rows.open import Items
from tessera.evaluation.running.folder import PREDICTIONS, write_predictions, write_result
from tessera.evaluation.running.grading import BenchmarkGrading, Replies
from tessera.evaluation.running.page import write_run_page
from tessera.evaluation.running.plan import BenchmarkPlan
from tessera.runtime.progress import Bars, silent
from tessera.runtime.shown import counted
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
    tokens: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    intervals: Intervals | None = None
    robustness: Mapping[str, Intervals] = field(default_factory=dict)
    seen: Mapping[str, Any] = field(default_factory=dict)
    """which questions stand in training data; empty where nobody looked"""
    media: dict[str, list[str]] = field(default_factory=dict)
    """files of each question's pictures and clips"""
    cut_off: set[str] = field(default_factory=set)
    """indexes of answers that ended because their tokens ran out"""
    judge: dict[str, Any] = field(default_factory=dict)
    """who judged, and by which rules; empty where rules alone did"""
    notes: list[str] = field(default_factory=list)
    """further lines for people"""

    @property
    def unit(self) -> Unit:
        """What belongs together: equal values of the benchmark's column, or else the same pictures."""
        return unit_of(self.plan.benchmark.unit, self.media)

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
            told.append(f"{counted(len(self.cut_off), 'answer')} cut off: the most new tokens were reached")
        unread = sum(graded.verdict.extracted is None for graded in self.graded)
        if unread:
            told.append(f"in {counted(unread, 'answer')} nothing could be read")
        if self.graded and not any(graded.reference.answers for graded in self.graded):
            told.append("the data have no answers: the score says nothing, a server has to give it")
        expected = self.plan.benchmark.questions
        asked = len(self.plan.items)
        if expected is not None and asked != expected:
            told.append(f"{asked} questions; the published figure has {expected}")
        read = self.plan.items.notes if isinstance(self.plan.items, Items) else []
        return told + read + self.notes


def settle(
    plan: BenchmarkPlan,
    folder: Path,
    grading: BenchmarkGrading,
    replies: Replies,
    bars: Bars = silent,
) -> RunOutcome:
    """Judge all answers, keep them in the folder line by line, and add up. Verdicts stay in memory."""
    outcome = RunOutcome(plan, folder, grading.asking.blind)
    write_predictions(folder, _lines(outcome, grading, replies, bars))
    return _figured(outcome)


def judged_anew(outcome: RunOutcome, graded: Sequence[Graded]) -> RunOutcome:
    """With other verdicts on the same answers, as a judge gives them; the lines in the folder follow."""
    outcome.graded = list(graded)
    file = outcome.folder / PREDICTIONS
    anew = {one.index: one.verdict for one in graded}

    def lines() -> Iterator[dict[str, Any]]:
        with file.open(encoding="utf-8") as stream:
            for line in map(json.loads, stream):
                verdict = anew[line["index"]]
                yield line | asdict(verdict)

    write_predictions(outcome.folder, lines())
    return _figured(outcome)


def _figured(outcome: RunOutcome) -> RunOutcome:
    """With figures, intervals and what stands beside them."""
    if outcome.graded:
        judged, cut = unrotated(outcome.graded), frozenset(outcome.cut_off)
        outcome.figures = dict(outcome.plan.aggregate(judged))
        outcome.intervals = interval_of(judged, outcome.plan.aggregate, outcome.unit)
        outcome.robustness = robustness_of(outcome.graded, outcome.unit, cut)
    return outcome


def leave(outcome: RunOutcome, settings: Mapping[str, Any]) -> None:
    """Figures and settings in `result.json`, and the page."""
    write_result(outcome.folder, _values(outcome, settings))
    if outcome.intervals is not None:
        write_run_page(outcome.folder)


def _lines(
    outcome: RunOutcome, grading: BenchmarkGrading, replies: Replies, bars: Bars
) -> Iterator[dict[str, Any]]:
    items = outcome.plan.asked
    for number, row in enumerate(grading.rows(items, replies), 1):
        bars(f"{outcome.plan.benchmark.name}: judged", number, len(items))
        if row.fault:
            outcome.faults.append(f"question {row.graded.index}: {row.fault}")
            continue
        outcome.graded.append(row.graded)
        outcome.media[row.graded.index] = [media["path"] for media in row.line["media"]]
        if row.line["finish"] == "length":
            outcome.cut_off.add(row.graded.index)
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
        "cut": len(outcome.cut_off),
        "robustness": {name: found.as_json() for name, found in outcome.robustness.items()},
        "seen": dict(outcome.seen),
        "answer_tokens": outcome.tokens,
        "notes": outcome.words(),
        "published": benchmark.published,
        "settings": {**outcome.plan.settings(), **settings, "judge": outcome.judge or None},
    }
