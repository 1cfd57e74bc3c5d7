"""Specs to the sources that a filter run reads."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tessera.curation.filters.config import FilterConfig
from tessera.curation.filters.judge import Filtered
from tessera.records.manifest import DatasetSpec
from tessera.records.open import open_sources


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
