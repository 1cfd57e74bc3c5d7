"""Columns of the questions behind graded answers: values, groups, and their means."""

from __future__ import annotations

from collections.abc import Iterable

from tessera.scoring.verdict import Graded, Reference


def column(each: Graded, name: str) -> str:
    """The value as text; `index` is the question's own. ValueError where a question has no such column."""
    fields = each.reference.fields
    if name in fields:
        return str(fields[name])
    if name == "index":
        return each.index
    known = ", ".join(sorted(fields)) or "none"
    raise ValueError(f"question {each.index[:40]!r} has no column {name!r}: give one of {known}")


def column_of(reference: Reference, name: str) -> str:
    """What a question has in a column, as text; ValueError where it has none."""
    value = reference.fields.get(name)
    if value is None:
        known = ", ".join(sorted(reference.fields)) or "none"
        raise ValueError(f"the question has no column {name!r}; its columns: {known:.200}")
    return str(value)


def by_column(graded: Iterable[Graded], name: str) -> dict[str, list[Graded]]:
    """Value of the column → its answers, in the order of the first ones."""
    found: dict[str, list[Graded]] = {}
    for each in graded:
        found.setdefault(column(each, name), []).append(each)
    return found


def percent(scores: Iterable[float]) -> float:
    """Mean of scores × 100; 0 of none."""
    listed = list(scores)
    return 100 * sum(listed) / len(listed) if listed else 0.0


def scores_of(graded: Iterable[Graded]) -> list[float]:
    """In order."""
    return [each.verdict.score for each in graded]
