"""The data of a fine-tune: manifests or files of records become two manifests, to learn and to measure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tessera.chat.encoder import Encoder
from tessera.curation.check import check_sources
from tessera.packing.config import Limits
from tessera.packing.index import FAULTY, open_index
from tessera.recipes.tuning import DataLengths
from tessera.records.files.mapping import MOST_BYTES
from tessera.records.manifest import SUFFIXES, DatasetSpec, read_meta
from tessera.records.open import open_sources
from tessera.records.source import WeightedSource
from tessera.records.writing import write_meta
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import shown

UNBOUND = Limits(max_tokens=2**31, max_tiles=2**31)
"""While lengths are measured nothing is too long: the packs follow from them."""


def read_data(names: Sequence[str]) -> tuple[DatasetSpec, ...]:
    """The datasets of manifests and of files of records, which become datasets of their own.

    ValueError for what is neither, and for two datasets of one name.
    """
    specs = [spec for name in names for spec in _read(name)]
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            raise ValueError(f"data: two datasets are called {shown(spec.name)}; give one another name")
        seen.add(spec.name)
    return tuple(specs)


def _read(name: str) -> tuple[DatasetSpec, ...]:
    file = Path(name).expanduser()
    if "://" not in name and not file.is_file():
        raise ValueError(f"data: no file {shown(name)}; give a manifest or a file of records")
    if _is_manifest(file):
        return tuple(_placed(spec) for spec in read_meta(file))
    if file.suffix.lower() not in SUFFIXES:
        raise ValueError(f"data: {shown(name)} ends in none of {', '.join(('.yaml', *SUFFIXES))}")
    place = name if "://" in name else file.resolve()
    root = str(place).rpartition("/")[0]
    return (DatasetSpec(name=file.stem, annotation=place, root=root if "://" in name else Path(root)),)


def _is_manifest(file: Path) -> bool:
    """YAML, or a JSON object whose entries name annotations; records stand in a list or in lines."""
    if file.suffix.lower() in (".yaml", ".yml"):
        return True
    if file.suffix.lower() != ".json" or not file.is_file() or file.stat().st_size > MOST_BYTES:
        return False
    try:
        value = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return False  # whoever reads it as records says what is wrong
    return isinstance(value, dict) and any(isinstance(v, dict) and "annotation" in v for v in value.values())


def _placed(spec: DatasetSpec) -> DatasetSpec:
    """The dataset with local places that hold wherever its manifest is written."""
    places = {name: getattr(spec, name) for name in ("annotation", "root")}
    local = {name: place.resolve() for name, place in places.items() if isinstance(place, Path)}
    return spec.model_copy(update=local)


def write_parts(folder: Path, specs: Sequence[DatasetSpec], held_out: float) -> tuple[Path, Path | None]:
    """Write the manifests of what is learned and of what is held out, None when nothing is.

    A dataset that names its own part keeps it, and is only learned from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    training, validation = folder / "training.json", folder / "validation.json"
    whole = [spec for spec in specs if spec.part == "all"] if held_out else []
    write_meta(training, {s.name: _entry(s, held_out if s in whole else 0, "training") for s in specs})
    if not whole:
        return training, None
    write_meta(validation, {s.name: _entry(s, held_out, "held_out") for s in whole})
    return training, validation


def _entry(spec: DatasetSpec, held_out: float, part: str) -> dict[str, Any]:
    given = spec.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
    fixed = {"annotation": str(spec.annotation), "root": str(spec.root)}
    return given | fixed | ({"held_out": held_out, "part": part} if held_out else {})


def measure(meta: Path, tiles: int | None, encoder: Encoder, progress: Progress = silent) -> DataLengths:
    """Lengths of all records of a manifest, by their headers. DataError with all that can't be used."""
    limit = {"max_dynamic_patch": tiles}
    specs = [s if s.max_dynamic_patch else s.model_copy(update=limit) for s in read_meta(meta)]
    return DataLengths.total([_lengths(entry, encoder, progress) for entry in open_sources(specs)])


def _lengths(entry: WeightedSource, encoder: Encoder, progress: Progress) -> DataLengths:
    index = open_index(entry, encoder, progress=progress)
    assert index is not None, "files of records have lengths"
    if (index.flags & FAULTY).any():
        check_sources([entry], encoder, UNBOUND, progress)
    tokens, tiles = index.longest(slice(None))
    return DataLengths(
        records=round(len(index) * entry.repeat),
        tokens=round(int(tokens.sum()) * entry.repeat),
        tiles=round(int(tiles.sum()) * entry.repeat),
        longest_tokens=int(tokens.max()),
        longest_tiles=int(tiles.max()),
    )
