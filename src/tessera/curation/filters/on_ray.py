"""Chunks on a Ray cluster instead of local processes; Ray is an optional dependency."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tessera.curation.filters.judge import Key


def map_on_ray(function: Callable[[Key], Any], keys: Sequence[Key]) -> Iterator[Any]:
    """`function` of every key through Ray Data, in order; results travel as JSON.

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
    for row in chunks.map(_Mapped(function)).iter_rows():
        yield json.loads(row["found"])


class _Mapped:
    """A row with a key to a row with what was found."""

    def __init__(self, function: Callable[[Key], Any]) -> None:
        self._function = function

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        source, start, stop = row["key"]
        return {"found": json.dumps(self._function((int(source), int(start), int(stop))))}
