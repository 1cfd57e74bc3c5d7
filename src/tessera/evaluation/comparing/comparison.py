"""Two runs of a benchmark side by side: figures, questions that flipped, and what was set differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tessera.evaluation.comparing.differences import FigureDifference, differences_of
from tessera.evaluation.comparing.intervals import DRAWS, SECONDS
from tessera.evaluation.comparing.matching import Pair, Unmatched, few, match
from tessera.evaluation.comparing.resampling import Unit, number_units
from tessera.evaluation.comparing.stored import (
    StoredAnswer,
    StoredResult,
    StoredRun,
    find_runs,
    flat,
)
from tessera.runtime.shown import shown
from tessera.scoring.verdict import OVERALL, Aggregate, Graded

CATEGORIES = ("category", "task", "type", "subject", "question_type", "l2-category", "split")
"""Columns that sort questions; the first that a benchmark has is taken unless another is named."""
FlipKind = Literal["gained", "lost", "other answer"]
FLIP_KINDS: tuple[FlipKind, ...] = ("gained", "lost", "other answer")


@dataclass(frozen=True)
class Flip:
    """A question whose score rose or fell from one run to the other, or whose answer alone changed."""

    kind: FlipKind
    category: str
    one: StoredAnswer
    two: StoredAnswer

    @property
    def change(self) -> float:
        """Of the score."""
        return self.two.score - self.one.score


@dataclass(frozen=True)
class RunComparison:
    """What two runs of a benchmark have in common, and where they differ.

    figures: paired, the second less the first. flips: largest change first. settings: name → both values.
    by_words: questions were matched by their words, since the runs number them differently.
    """

    benchmark: str
    one: StoredResult
    two: StoredResult
    questions: int
    units: int
    by_words: bool
    figures: Mapping[str, FigureDifference]
    flips: Sequence[Flip]
    unmatched: Unmatched
    settings: Mapping[str, tuple[Any, Any]]

    @property
    def headline(self) -> FigureDifference:
        """The figure that papers quote, or the first."""
        return self.figures.get(OVERALL) or next(iter(self.figures.values()))

    def counts(self) -> dict[str, Counter[str]]:
        """Category → how many flips of each kind, in order of their number; `OVERALL` first."""
        found, every = dict[str, Counter[str]](), Counter[str](flip.kind for flip in self.flips)
        for flip in self.flips:
            found.setdefault(flip.category, Counter())[flip.kind] += 1
        ordered = sorted(found.items(), key=lambda entry: -entry[1].total())
        return {OVERALL: every} | dict(ordered)

    def as_json(self) -> dict[str, Any]:
        """Plain values: all figures and flips, questions by index."""
        return {
            "benchmark": self.benchmark,
            "runs": [self.one.model_dump(mode="json"), self.two.model_dump(mode="json")],
            "questions": self.questions,
            "units": self.units,
            "by_words": self.by_words,
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "settings": {name: list(values) for name, values in self.settings.items()},
            "unmatched": {name: list(names) for name, names in vars(self.unmatched).items()},
            "flipped": {name: dict(counts) for name, counts in self.counts().items()},
            "flips": [_flip_json(flip) for flip in self.flips],
        }


def _flip_json(flip: Flip) -> dict[str, Any]:
    one, two = flip.one, flip.two
    answers = {"extracted": [one.extracted, two.extracted], "scores": [one.score, two.score]}
    return {"index": one.index, "kind": flip.kind, "category": flip.category} | answers


def compare_runs(
    one: StoredRun,
    two: StoredRun,
    aggregate: Aggregate,
    *,
    unit: Unit | None = None,
    category: str | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    seconds: float = SECONDS,
) -> RunComparison:
    """Compare the questions that both runs asked. ValueError for two benchmarks and without such a question.

    Questions are matched by index, or by their words where the runs number them differently; those whose
    text or right answers differ are told and left out. unit: None takes the first run's own.
    """
    if one.result.benchmark != two.result.benchmark:
        raise ValueError(
            f"the runs are of {shown(one.result.benchmark)} and {shown(two.result.benchmark)}; "
            "compare runs of one benchmark"
        )
    pairs, unmatched, by_words = match(one.scored, two.scored)
    if not pairs:
        raise ValueError(
            f"{shown(one.folder)} and {shown(two.folder)} share no question: {'; '.join(unmatched.told())}"
        )
    first = [answer.graded for answer, _ in pairs]
    # Another form of the data may name categories differently.
    second = [
        replace(answer.graded, index=known.index, reference=known.graded.reference) for known, answer in pairs
    ]
    unit = unit or one.unit
    figures = differences_of(first, second, aggregate, unit, seed, draws, seconds)
    units = int(number_units(first, unit, aggregate).max()) + 1
    settings = differing(one.result, two.result)
    flips = flips_of(pairs, category or category_column(first))
    return RunComparison(
        *(one.result.benchmark, one.result, two.result, len(pairs), units),
        *(by_words, figures, flips, unmatched, settings),
    )


def flips_of(pairs: Iterable[Pair], category: str | None) -> list[Flip]:
    """Questions that changed, those with the largest change first, in the runs' order among equals."""
    found = []
    for one, two in pairs:
        kind: FlipKind = (
            "gained" if two.score > one.score else "lost" if two.score < one.score else "other answer"
        )
        if kind != "other answer" or one.extracted != two.extracted:
            found.append(Flip(kind, category_of(one.graded, category), one, two))
    return sorted(found, key=lambda flip: -abs(flip.change))


def category_column(graded: Sequence[Graded]) -> str | None:
    """The column that sorts these questions best known; None where they have none of `CATEGORIES`."""
    return next((name for name in CATEGORIES if any(name in one.reference.fields for one in graded)), None)


def category_of(graded: Graded, column: str | None) -> str:
    """A question's category; empty without one."""
    value = graded.reference.fields.get(column) if column else None
    return "" if value is None else str(value)


def differing(one: StoredResult, two: StoredResult) -> dict[str, tuple[Any, Any]]:
    """Model, preset and settings with other values in both runs; None where one of them has none."""
    sides = [{"model": run.model, "preset": run.preset} | flat(run.settings) for run in (one, two)]
    names = dict.fromkeys(name for side in sides for name in side)
    both = {name: (sides[0].get(name), sides[1].get(name)) for name in names}
    return {name: values for name, values in both.items() if values[0] != values[1]}


@dataclass(frozen=True)
class FolderComparison:
    """Two folders with runs of several benchmarks: those in both, and the names of the others."""

    runs: Mapping[str, RunComparison]
    only_one: Sequence[str]
    only_two: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        runs = {name: run.as_json() for name, run in self.runs.items()}
        return {"benchmarks": runs, "only_one": list(self.only_one), "only_two": list(self.only_two)}


def compare_folders(
    one: Path,
    two: Path,
    aggregate_of: Callable[[StoredResult], Aggregate],
    **options: Any,
) -> FolderComparison:
    """Compare every benchmark that both folders have a run of. ValueError when there is none.

    aggregate_of: a run to its benchmark's aggregate. options: those of `compare_runs`.
    """
    first, second = find_runs(one), find_runs(two)
    shared = [name for name in first if name in second]
    if not shared:
        raise ValueError(
            f"{shown(one)} has {few([*first])}, {shown(two)} has {few([*second])}: none is in both"
        )
    runs = {}
    for name in shared:
        before, after = StoredRun.read(first[name]), StoredRun.read(second[name])
        runs[name] = compare_runs(before, after, aggregate_of(before.result), **options)
    return FolderComparison(
        runs, [name for name in first if name not in second], [name for name in second if name not in first]
    )
