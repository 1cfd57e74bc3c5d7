"""RSVQA: equality without case; counts and areas by bucket, apart from the headline."""

from collections.abc import Callable

from tessera.scoring.aggregates import Mean
from tessera.scoring.columns import column_of
from tessera.scoring.verdict import Reference, Verdict

COUNT, AREA = "count", "area"
_TOPS = (0, 100, 1000)


def rsvqa(column: str = "type") -> Callable[[str, Reference], Verdict]:
    """By the question's type: `count` and `area` are right within the same bucket (0, to 100, to 1000, more).

    column: where the type stands. As published `m2` is cut from an area sign by sign: of `12m2` 1 is left.
    """

    def score(prediction: str, reference: Reference, /) -> Verdict:
        kind = column_of(reference, column)
        right = any(_right(kind, prediction, answer) for answer in reference.answers)
        return Verdict(float(right), prediction, "right" if right else "none of the answers")

    return score


def rsvqa_means(column: str = "type") -> Mean:
    """Every type, and the mean of the questions of all types but `count` and `area`, × 100."""
    return Mean(100.0, (column,), {column: (COUNT, AREA)})


def _right(kind: str, said: str, answer: str) -> bool:
    if kind not in (COUNT, AREA):
        return bool(said) and said.lower() == answer.lower()
    try:
        numbers = int(said), int(answer.rstrip("m2") if kind == AREA else answer)
    except ValueError:
        return False
    return min(numbers) >= 0 and _bucket(numbers[0]) == _bucket(numbers[1])


def _bucket(number: int) -> int:
    return sum(number > top for top in _TOPS)
