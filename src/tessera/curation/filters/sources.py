"""Sources as a filter run reads them, and their records in chunks that processes or a Ray cluster take."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from typing import Any

from pydantic import TypeAdapter

from tessera.curation.filters.config import FilterConfig
from tessera.records.manifest import DatasetSpec
from tessera.records.open import open_sources
from tessera.records.source import Source

CHUNK = 256
"""Records that travel between processes together."""

Key = tuple[int, int, int]
"""Number of a source, first record and the one behind the last."""


@dataclass(frozen=True)
class Filtered:
    """A source as the filter sees it: its multimodal records may be exempt; documents have no roles."""

    source: Source
    size: int
    exempt: bool = False
    document: bool = False


def open_filtered(specs: Sequence[DatasetSpec], config: FilterConfig) -> tuple[Filtered, ...]:
    """The sources in order; the multimodal part of academic ones, and of those the config names, is exempt.

    ValueError for a source without an end, and for a pattern that matches no source.
    """
    for kind, patterns in (("exempt", config.exempt), ("domains.sources", tuple(config.domains.sources))):
        for pattern in patterns:
            if not any(fnmatchcase(spec.name, pattern) for spec in specs):
                names = ", ".join(spec.name for spec in specs)
                raise ValueError(f"{kind}: {pattern!r} matches no source; choose among {names}")
    found = []
    for spec, weighted in zip(specs, open_sources(specs), strict=True):
        size = weighted.source.size
        if size is None:
            raise ValueError(f"{spec.name}: it has no end; filter sources of files")
        exempt = spec.academic or any(fnmatchcase(spec.name, pattern) for pattern in config.exempt)
        found.append(Filtered(weighted.source, size, exempt, weighted.document))
    return tuple(found)


def chunk_keys(sources: Sequence[Filtered]) -> list[Key]:
    """Chunks of all sources in order."""
    return [
        (number, start, min(start + CHUNK, filtered.size))
        for number, filtered in enumerate(sources)
        for start in range(0, filtered.size, CHUNK)
    ]


def map_on_ray(function: Callable[[Key], Any], keys: Sequence[Key], result: Any) -> Iterator[Any]:
    """`function` of every key through Ray Data, in order; its results, of type `result`, travel as JSON.

    The files must lie at the same paths on every node. Raises ValueError when Ray, an optional dependency,
    isn't installed.
    """
    try:
        data = importlib.import_module("ray.data")
    except ImportError as error:
        remedy = "pip install 'ray[data]', or leave out --on"
        raise ValueError(f"--on ray: Ray is not installed; {remedy}") from error
    data.DataContext.get_current().execution_options.preserve_order = True
    chunks = data.from_items([{"key": list(key)} for key in keys])
    for row in chunks.map(partial(_as_json, function, result)).iter_rows():
        yield _adapter(result).validate_json(row["found"])


_adapter = cache(TypeAdapter)


def _as_json(function: Callable[[Key], Any], result: Any, row: dict[str, Any]) -> dict[str, str]:
    """A row with a key to a row with what was found."""
    source, start, stop = map(int, row["key"])
    return {"found": _adapter(result).dump_json(function((source, start, stop))).decode()}
