"""Chunks on a Ray cluster instead of local processes; Ray is an optional dependency."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from tessera.curation.filters.sources import Key


def map_on_ray(function: Callable[[Key], Any], keys: Sequence[Key], result: Any) -> Iterator[Any]:
    """`function` of every key through Ray Data, in order; its results, of type `result`, travel as JSON.

    The files must lie at the same paths on every node. Raises ValueError when Ray isn't installed.
    """
    try:
        data = importlib.import_module("ray.data")
    except ImportError as error:
        raise ValueError(
            "--on ray: Ray is not installed; pip install 'ray[data]', or leave out --on"
        ) from error
    context = data.DataContext.get_current()
    context.execution_options.preserve_order = True
    chunks = data.from_items([{"key": list(key)} for key in keys])
    for row in chunks.map(_Mapped(function, result)).iter_rows():
        yield _adapter(result).validate_json(row["found"])


_adapter = cache(TypeAdapter)


class _Mapped:
    """A row with a key to a row with what was found."""

    def __init__(self, function: Callable[[Key], Any], result: Any) -> None:
        self._function, self._result = function, result

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        source, start, stop = map(int, row["key"])
        return {"found": _adapter(self._result).dump_json(self._function((source, start, stop))).decode()}
