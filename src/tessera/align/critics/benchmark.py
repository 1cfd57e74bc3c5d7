"""Solutions whose steps people have labelled: how well a critic tells them apart (VisualProcessBench)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tessera.align.preferences.response import Fields
from tessera.runtime.config import Config
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown
from tessera.scoring.step_verdicts import ScoredStep, StepCounts, best_threshold, count_steps

RIGHT_LABEL, WRONG_LABEL, NEUTRAL_LABEL = 1, -1, 0
LABELS = (RIGHT_LABEL, WRONG_LABEL, NEUTRAL_LABEL)
NO_SOURCE = "(no source)"


class BenchmarkFields(Config):
    """Where a record has what; a dot leads into an object. By default as in VisualProcessBench."""

    question_field: str = "question"
    """the question"""
    image_field: str = "image"
    """a path or several"""
    steps_field: str = "response.steps"
    """the list of steps"""
    labels_field: str = "response.process_correctness"
    """a label for each step: 1 right, -1 wrong, 0 neutral"""
    source_field: str = "data_source"
    """what scores are grouped by"""


@dataclass
class LabelledSteps:
    """Reads records, and keeps labels and source of each by its line."""

    fields: BenchmarkFields
    labels: dict[int, tuple[int, ...]] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)

    def read(self, found: Fields) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
        """Pictures, question and steps of a line. DataError naming the field that is wrong."""
        names = self.fields
        values = {name: _value(found.value, name) for name in names.model_dump().values()}
        given = Fields(found.file, found.line, {**values, "image": values[names.image_field]})
        steps, labels = values[names.steps_field], values[names.labels_field]
        if (
            not isinstance(steps, list)
            or not steps
            or not all(isinstance(s, str) and s.strip() for s in steps)
        ):
            given.wrong(names.steps_field, f"is {shown(steps)}", "write a list of texts")
        if not isinstance(labels, list) or not all(
            type(label) is int and label in LABELS for label in labels
        ):
            given.wrong(names.labels_field, f"is {shown(labels)}", "write 1, -1 or 0 for each step")
        if len(labels) != len(steps):
            told = f"has {len(labels)} labels for {len(steps)} steps"
            given.wrong(names.labels_field, told, "label each step")
        question = given.text(names.question_field, "write the question")
        self.labels[found.line] = tuple(labels)
        source = values[names.source_field]
        self.sources[found.line] = NO_SOURCE if source is None else str(source)
        return given.pictures(), question, tuple(steps)


@dataclass(frozen=True)
class LabelledSolution:
    """Steps that are right or wrong, with their scores; neutral: how many were neither."""

    line: int
    source: str
    steps: tuple[ScoredStep, ...]
    neutral: int = 0

    @classmethod
    def of(cls, line: int, source: str, labels: Sequence[int], scores: Sequence[float]) -> LabelledSolution:
        """From labels and scores of all steps."""
        pairs = zip(labels, scores, strict=True)
        steps = tuple((label == RIGHT_LABEL, score) for label, score in pairs if label != NEUTRAL_LABEL)
        return cls(line, source, steps, len(labels) - len(steps))


@dataclass(frozen=True)
class StepEvaluation:
    """How well a critic did. how: where the threshold comes from; tuned_on: lines of its part, left out here.

    sources: steps of each; pooled: all of them.
    """

    threshold: float
    how: str
    sources: dict[str, StepCounts]
    pooled: StepCounts
    neutral: int
    tuned_on: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "threshold": self.threshold,
            "how": self.how,
            "sources": {name: _told(counts) for name, counts in self.sources.items()},
            "all": _told(self.pooled),
            "neutral": self.neutral,
            "tuned_on": list(self.tuned_on),
        }


def evaluate_steps(
    solutions: Sequence[LabelledSolution], threshold: float, tune: str | None = None, seed: int = 0
) -> StepEvaluation:
    """Macro F1 by source and over all steps.

    tune: a part of the solutions that chooses the threshold and is left out of the result: a share between 0
    and 1, drawn by seed, or the name of a source. ValueError for another, and when a part is empty.
    """
    how, rest, part = "given", list(solutions), list[LabelledSolution]()
    if tune is not None and solutions:
        part, rest, how = _parted(solutions, tune, seed)
        threshold = best_threshold([step for one in part for step in one.steps])
    if not any(one.steps for one in rest):
        raise ValueError("no step is labelled right or wrong: nothing can be measured")
    names = Counter(one.source for one in rest)
    sources = {
        name: count_steps((s for one in rest if one.source == name for s in one.steps), threshold)
        for name in names
    }
    pooled = count_steps((step for one in rest for step in one.steps), threshold)
    neutral = sum(one.neutral for one in rest)
    return StepEvaluation(threshold, how, sources, pooled, neutral, tuple(one.line for one in part))


def _parted(
    solutions: Sequence[LabelledSolution], tune: str, seed: int
) -> tuple[list[LabelledSolution], list[LabelledSolution], str]:
    """The part that tunes, the rest, and the former in words."""
    try:
        share = float(tune)
    except ValueError:
        part = [one for one in solutions if one.source == tune]
        if not part:
            names = ", ".join(dict.fromkeys(one.source for one in solutions))
            raise ValueError(f"tune {shown(tune)}: no source is called so; give a share or {names}") from None
        rest = [one for one in solutions if one.source != tune]
        return part, rest, f"tuned on source {shown(tune)}: {len(part)} of {len(solutions)} solutions"
    if not 0 < share < 1:
        raise ValueError(f"tune {tune}: give a share between 0 and 1, or the name of a source")
    draw = random.Random(derive_seed("tuning part", seed))
    chosen = set(draw.sample(range(len(solutions)), max(1, round(share * len(solutions)))))
    part = [one for number, one in enumerate(solutions) if number in chosen]
    rest = [one for number, one in enumerate(solutions) if number not in chosen]
    return part, rest, f"tuned on {len(part)} of {len(solutions)} solutions (share {tune}, seed {seed})"


def _value(record: Any, name: str) -> Any:
    """What stands there; None where nothing does."""
    for key in name.split("."):
        record = record.get(key) if isinstance(record, dict) else None
    return record


def _told(counts: StepCounts) -> dict[str, float | int]:
    return {
        "steps": counts.steps,
        "wrong": counts.wrong,
        "f1_right": counts.f1_right,
        "f1_wrong": counts.f1_wrong,
        "macro_f1": counts.macro_f1,
    }
