"""Figures of mathematics: by columns that may be nested, and that may name several values."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from tessera.scoring.columns import percent, scores_of
from tessera.scoring.settings import names
from tessera.scoring.verdict import OVERALL, Aggregate, Graded

USUAL = ("task", "category", "skills")


def mathvista_figures(by: str | Sequence[str] = USUAL, inside: str = "metadata") -> Aggregate:
    """Mean × 100, and that of every value of some columns, as `skills=algebraic reasoning`.

    A question with several values counts in each. by: columns, in the row or in its object `inside`; those
    that a question has nowhere are left out.
    """
    columns = names("by", by)

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        groups: dict[str, list[float]] = {}
        for each in graded:
            for column in columns:
                for value in _values(each.reference.fields, column, inside):
                    groups.setdefault(f"{column}={value}", []).append(each.verdict.score)
        return {OVERALL: percent(scores_of(graded))} | {name: percent(of) for name, of in groups.items()}

    return figures


def _values(fields: Mapping[str, Any], column: str, inside: str) -> list[str]:
    given = fields.get(column, _as_read(fields.get(inside)).get(column))
    if isinstance(given, str) and given.startswith("["):
        given = _list_in(given)
    if isinstance(given, list | tuple):
        return [str(value) for value in given]
    return [] if given is None or given == "" else [str(given)]


def _as_read(given: Any) -> Mapping[str, Any]:
    """An object, also one that is written as text."""
    read = _literal(given) if isinstance(given, str) else given
    return read if isinstance(read, Mapping) else {}


def _list_in(text: str) -> Any:
    read = _literal(text)
    return read if isinstance(read, list) else text


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
