"""All benchmarks that ship, by name, other name or suite; and your own by the path of its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from tessera.evaluation.benchmarks.benchmark import Benchmark, DataForm, Declared
from tessera.records.files.mapping import read_mapping
from tessera.runtime.config import first_fault
from tessera.runtime.shown import shown

_ENDINGS = (".yaml", ".yml", ".json")
_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "benchmarks"
_Read = TypeVar("_Read", bound=Declared)


class Catalogue(Declared):
    """What is known beside the benchmarks' own files: `assets/benchmarks/names.yaml`."""

    aliases: dict[str, str] = Field(default_factory=dict)
    """other name → name"""
    suites: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """name of a group → benchmarks in order, such as those of a model's card"""


def all_benchmarks() -> dict[str, Benchmark]:
    """Every benchmark that ships by its name, group after group."""
    return {name: _shipped(name) for name in _files()}


def benchmark_groups() -> dict[str, list[str]]:
    """Folder of `assets/benchmarks` → names of the benchmarks in it."""
    groups: dict[str, list[str]] = {}
    for name, file in _files().items():
        groups.setdefault(file.parent.name, []).append(name)
    return groups


def known_names() -> Catalogue:
    """The other names and the suites that ship."""
    return load_declared(Catalogue, _FOLDER / "names.yaml")


def find_benchmark(name: str | Path) -> Benchmark:
    """The benchmark of this name, or that of your own file; its data then stand beside the file.

    ValueError naming the nearest names, or file, field, value and remedy.
    """
    path = Path(name)
    if path.suffix.lower() in _ENDINGS:
        return _beside(load_declared(Benchmark, path), path.absolute().parent)
    plain = _plain(str(name))
    plain = known_names().aliases.get(plain, plain)
    if plain not in _files():
        suite = "; it is a suite: expand it first" if plain in known_names().suites else ""
        raise ValueError(f"benchmark {shown(str(name))} is not known{suite}{_near(plain)}")
    return _shipped(plain)


def expand_names(names: Iterable[str]) -> list[str]:
    """Names with every suite replaced by its benchmarks, each benchmark once, in order."""
    suites = known_names().suites
    return list(dict.fromkeys(one for name in names for one in suites.get(_plain(name), (name,))))


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _near(name: str) -> str:
    known = [*_files(), *known_names().aliases, *known_names().suites]
    parts = [other for other in known if name in other or other in name][:5]
    near = parts or get_close_matches(name, known, 5, 0.5)
    meant = f"; near: {', '.join(near)}" if near else ""
    return f"{meant}; `tessera evaluate --list` shows all, a file of your own ends in .yaml"


@cache
def _files() -> Mapping[str, Path]:
    """Name → file of what ships; a file is called as its benchmark."""
    return {file.stem: file for file in sorted(_FOLDER.glob("*/*.yaml"))}


@cache
def _shipped(name: str) -> Benchmark:
    return load_declared(Benchmark, _files()[name])


def load_declared(kind: type[_Read], file: Path, what: str = "benchmark file") -> _Read:
    """What a file declares. ValueError naming file, field, value and the fields there are."""
    holds = f"it has fields such as {', '.join(list(kind.model_fields)[:4])}"
    found: dict[str, Any] = read_mapping(file, what, holds)
    try:
        return kind(**found)
    except ValidationError as error:
        raise ValueError(
            f"{what} {shown(file)}: {first_fault(error)}; fields: {', '.join(kind.model_fields)}"
        ) from error


def _beside(benchmark: Benchmark, folder: Path) -> Benchmark:
    """With the files of its data below the folder, whatever the data root is."""

    def below(name: str) -> str:
        split, equals, path = name.rpartition("=")
        return f"{split}{equals}{folder / path}"

    def moved(form: DataForm) -> DataForm:
        beside = form.beside and form.beside.model_copy(update={"file": below(form.beside.file)})
        files = {"file": tuple(map(below, form.file)), "media": below(form.media)}
        return form.model_copy(update=files | {"beside": beside})

    return benchmark.model_copy(update={"data": {name: moved(form) for name, form in benchmark.data.items()}})
