"""What stands beside a score: the text-only baseline, and whether questions were seen in training."""

from __future__ import annotations

from pathlib import Path

from tessera.evaluation.comparing.differences import FigureDifference
from tessera.evaluation.robustness.blind import gain_over_blind
from tessera.evaluation.robustness.contamination import known_questions, look_through, scores_by_seen
from tessera.evaluation.robustness.summary import unrotated
from tessera.evaluation.running.outcome import RunOutcome
from tessera.records.manifest import read_meta
from tessera.records.open import open_sources
from tessera.runtime.progress import Bars
from tessera.scoring.verdict import OVERALL


def tell_gain(outcome: RunOutcome, blind: RunOutcome) -> None:
    """A note on what pictures add to the headline, paired."""
    plan = outcome.plan
    try:
        gains = gain_over_blind(blind.graded, unrotated(outcome.graded), plan.aggregate, outcome.unit)
    except ValueError as error:  # no question has a picture
        outcome.notes.append(f"text only: {error}")
        return
    gain: FigureDifference = gains.get(OVERALL) or next(iter(gains.values()))
    bounds = f"95 %: {gain.low:+.1f} to {gain.high:+.1f}"
    outcome.notes.append(f"pictures add {gain.difference:+.1f} to {gain.one:.1f} without them ({bounds})")


def tell_seen(outcome: RunOutcome, meta: Path, workers: int, bars: Bars) -> None:
    """Notes on questions that stand in training data, and the headline with and without them."""
    plan = outcome.plan
    report = look_through(known_questions(plan.items), open_sources(read_meta(meta)), workers, bars)
    outcome.seen = report.as_json()
    outcome.notes += [f"WARNING, {told}" for told in report.told()] if report.seen else []
    if not report.seen:
        outcome.notes.append(f"none of {report.questions:,} questions seen in {report.records:,} records")
        return
    seen = set(report.pictured) or set(report.seen)
    groups = scores_by_seen(unrotated(outcome.graded), seen, plan.aggregate, outcome.unit)
    told = (
        f"{found.estimates[OVERALL].value:.1f} ({found.questions} {name})" for name, found in groups.items()
    )
    outcome.notes.append(f"score by whether they were seen: {', '.join(told)}")
