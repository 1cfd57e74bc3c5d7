"""Figures of judges' marks: MM-Vet's abilities, LLaVA-Bench's ratio, MMHal's rates, WildVision's wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tessera.scoring.columns import by_column, column, percent, scores_of
from tessera.scoring.verdict import OVERALL, Aggregate, Graded

_ABILITIES = ("rec", "ocr", "know", "gen", "spat", "math", "seq")
_TRUE_FROM = 3
"""Least rating of an answer without hallucination."""
_FAILED = -1.0


def mmvet_figures(capability: str = "category") -> Aggregate:
    """Mean mark × 100; also of every ability that the column names, and of every set of abilities.

    MM-Vet and its version 2. Data without the column have the headline only.
    """

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        found = {OVERALL: percent(scores_of(graded))}
        known = [each for each in graded if capability in each.reference.fields]
        for ability in _ABILITIES:
            members = [each for each in known if ability in column(each, capability)]
            if members:
                found[ability] = percent(scores_of(members))
        sets = by_column(known, capability)
        return found | {f"{capability}={name}": percent(scores_of(members)) for name, members in sets.items()}

    return figures


def llava_bench_figures(category: str = "category") -> Aggregate:
    """Mean mark of the answers over that of the reference's × 100; both means × 10; also by category.

    A reply without two numbers counts -1 for both, as published.
    """

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        found = _ratio(graded, "")
        known = [each for each in graded if category in each.reference.fields]
        for name, members in by_column(known, category).items():
            found |= _ratio(members, f"{category}={name}")
        return found

    return figures


def mmhal_figures(by: str | None = "question_type") -> Aggregate:
    """Mean rating 0 to 6; `hallucination` is the share below 3 × 100; also by type of question."""

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        found = {OVERALL: percent(scores_of(graded)) / 100}
        found["hallucination"] = percent(float(score < _TRUE_FROM) for score in scores_of(graded))
        known = [each for each in graded if by and by in each.reference.fields]
        groups = by_column(known, by or "")
        return found | {f"{by}={name}": percent(scores_of(of)) / 100 for name, of in groups.items()}

    return figures


def wildvision_figures() -> Aggregate:
    """Share of wins × 100 under `OVERALL`; `reward` from -100 to 100; shares of the five verdicts × 100.

    Of replies without one verdict, and of answers that were not judged, ties are made.
    """
    names = {2.0: "much better", 1.0: "better", 0.0: "tie", -1.0: "worse", -2.0: "much worse"}

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        marks = [float(each.verdict.parts.get("mark", 0.0)) for each in graded]
        shares = {name: percent(float(mark == value) for mark in marks) for value, name in names.items()}
        return {OVERALL: percent(float(mark > 0) for mark in marks), "reward": percent(marks) / 2} | shares

    return figures


def _ratio(graded: Sequence[Graded], name: str) -> dict[str, float]:
    pairs = [each.verdict.parts.get("pair", (_FAILED, _FAILED)) for each in graded]
    other, said = (percent(float(mark[at]) for mark in pairs) / 10 for at in (0, 1))
    start = f"{name}: " if name else ""
    return {
        name or OVERALL: 100 * said / other if other else 0.0,
        f"{start}answers": said,
        f"{start}reference": other,
    }
