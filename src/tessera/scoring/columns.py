"""Columns of the questions behind graded answers: values, groups and means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tessera.scoring.verdict import OVERALL, Graded


def column(each: Graded, name: str) -> str:
    """The value as text; `index` is the question's own. ValueError where a row has no such column."""
    if name in each.reference.fields:
        return str(each.reference.fields[name])
    if name == "index":
        return each.index
    raise ValueError(
        f"question {each.index[:40]!r}: the data have no column {name!r}; it has "
        f"{', '.join(sorted(each.reference.fields)) or 'none'}"
    )


def grouped(graded: Iterable[Graded], name: str) -> dict[str, list[Graded]]:
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


def with_groups(graded: Sequence[Graded], by: Sequence[str]) -> dict[str, float]:
    """Mean of all under `OVERALL`, and of each value of these columns under the value, × 100.

    A value that stands in two columns has the second time its column before it: `l2-category: ocr`.
    """
    figures = {OVERALL: percent(scores_of(graded))}
    for name in by:
        for value, members in sorted(grouped(graded, name).items()):
            figures[value if value not in figures else f"{name}: {value}"] = percent(scores_of(members))
    return figures


def checked_names(given: str | Sequence[str], field: str) -> tuple[str, ...]:
    """A name or several as a tuple; ValueError for anything else."""
    names = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{field}: {given!r} is no column name nor a list of them")
    return names


def checked_rules(given: str, known: Mapping[str, object], scorer: str) -> str:
    """The name itself; ValueError with all names for one that is unknown."""
    if given not in known:
        raise ValueError(f"{scorer}: rules {str(given)[:80]!r} are unknown; give one of {', '.join(known)}")
    return given
