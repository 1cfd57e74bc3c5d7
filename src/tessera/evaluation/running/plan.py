"""What will be asked: a benchmark with data, rules, scorer and folder, checked before a model is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tessera.evaluation.benchmarks.benchmark import Benchmark, DataForm
from tessera.evaluation.benchmarks.presets import ResolvedRules, resolve
from tessera.evaluation.benchmarks.prompts import names_in
from tessera.evaluation.rows.item import Item
from tessera.evaluation.rows.open import open_items
from tessera.evaluation.running.orders import InAllOrders
from tessera.runtime.shown import shown
from tessera.scoring.registry import aggregate, scorer
from tessera.scoring.verdict import Aggregate, Graded, Scorer

ROOTS = ("TESSERA_DATA", "LMUData")
"""Environment variables that name the folder of benchmark files."""


REHEARSED = 24
"""Questions on which a run is tried before it begins."""


class DataMissing(ValueError):
    """No form of a benchmark's data is there."""


@dataclass(frozen=True)
class BenchmarkPlan:
    """One benchmark, ready to be asked. form: name of the form in which its data lie here."""

    benchmark: Benchmark
    rules: ResolvedRules
    form: str
    items: Sequence[Item]
    folder: Path
    scorer: Scorer
    aggregate: Aggregate
    all_orders: bool = False
    """choices are asked in every order of their options, too"""

    @cached_property
    def asked(self) -> Sequence[Item]:
        """What is asked: the questions, and where it is wanted their other orders."""
        return InAllOrders.of(self.items) if self.all_orders else self.items

    @classmethod
    def of(
        cls, benchmark: Benchmark, preset: str, root: Path, folder: Path, form: str | None = None
    ) -> BenchmarkPlan:
        """ValueError for what is unknown or not there, naming benchmark, field and remedy."""
        rules = resolve(benchmark, preset)
        settings = dict(rules.scorer)
        judged = scorer(settings.pop("name"), settings)
        figures = dict(rules.aggregate)
        added = aggregate(figures.pop("name"), figures)
        name, found = choose_form(benchmark, rules, root, form)
        items = open_items(found, root, folder / "pictures")
        if not len(items):
            raise ValueError(f"{benchmark.name}: its data hold no question; look at 'where' of form {name}")
        return cls(benchmark, rules, name, items, folder, judged, added)

    def rehearse(self) -> None:
        """ValueError for what would fail at the end: columns that prompt or aggregate name in vain."""
        first, name = self.items[:REHEARSED], self.benchmark.name
        column = self.benchmark.data[self.form].question
        if "question" in names_in(self.rules.prompt) and not any(item.reference.question for item in first):
            remedy = "name the column with the questions by 'question' of the form"
            raise ValueError(f"{name}: no words in column {column!r} of the first rows; {remedy}")
        try:
            self.aggregate(self._unanswered(first))
        except ValueError:  # which may come of seeing a part
            self.aggregate(self._unanswered(self.items))

    def _unanswered(self, items: Iterable[Item]) -> list[Graded]:
        """Questions as if nothing was said to them."""
        return [Graded(each.index, "", self.scorer("", each.reference), each.reference) for each in items]

    def only(self, places: Sequence[int]) -> BenchmarkPlan:
        """With these questions alone."""
        return replace(self, items=ChosenItems(self.items, places))

    def settings(self) -> dict[str, Any]:
        """What figures depend on beside the model."""
        held = self.rules.model_dump(exclude_none=True)
        added = {"form": self.form, "unit": self.benchmark.unit}
        return {**held, **added, "data": list(self.benchmark.data[self.form].file)}


class ChosenItems(Sequence[Item]):
    """Some of the questions, by their places."""

    def __init__(self, items: Sequence[Item], places: Sequence[int]) -> None:
        self._items, self._places = items, places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Item]:
        return (self._items[place] for place in self._places)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self._items[each] for each in self._places[place]]
        return self._items[self._places[place]]


def data_root(given: Path | None) -> Path:
    """The folder of benchmark files: the given one, that of the environment, or ~/LMUData."""
    if given is not None:
        return given
    named = (os.environ.get(name) for name in ROOTS)
    return Path(next(filter(None, named), Path.home() / "LMUData"))


def choose_form(
    benchmark: Benchmark, rules: ResolvedRules, root: Path, wanted: str | None = None
) -> tuple[str, DataForm]:
    """The form in which the data are there: the wanted one, else the preset's, else the first.

    DataMissing names what was looked for and where.
    """
    if wanted is not None and wanted not in benchmark.data:
        raise ValueError(f"--form {shown(wanted)}: {benchmark.name} has {', '.join(benchmark.data)}")
    first = [name for name in (wanted or rules.data,) if name in benchmark.data]
    names = first if wanted else list(dict.fromkeys((*first, *benchmark.data)))
    for name in names:
        if not missing(benchmark.data[name], root):
            return name, benchmark.data[name]
    asked = "; ".join(f"{name}: {', '.join(missing(benchmark.data[name], root)[:3])}" for name in names)
    where = f"; to be had at {benchmark.url}" if benchmark.url else ""
    raise DataMissing(
        f"{benchmark.name}: its data are not below {shown(root)} ({asked}){where}; "
        "put them there, or name their folder by --data"
    )


def missing(form: DataForm, root: Path) -> list[str]:
    """Files of a form that are not there."""
    names = (name.rpartition("=")[2] for name in form.file)
    return [name for name in names if not _there(root, name)]


def _there(root: Path, name: str) -> bool:
    """Whether a file, a folder or what a pattern names is there."""
    if not set(name) & set("*?["):
        return (root / name).exists()
    anchor = Path(name).anchor
    return next((Path(anchor) if anchor else root).glob(name.removeprefix(anchor)), None) is not None
