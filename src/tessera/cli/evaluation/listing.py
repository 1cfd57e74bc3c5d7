"""`tessera evaluate --list`: the benchmarks, and what is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.cli.terminal.tables import Terminal, figures_table
from tessera.evaluation.benchmarks.benchmark import Benchmark
from tessera.evaluation.benchmarks.catalogue import all_benchmarks, expand_names, find_benchmark
from tessera.evaluation.benchmarks.presets import PRESETS, ResolvedRules, resolve
from tessera.evaluation.running.plan import data_root, missing
from tessera.runtime.shown import shown

if TYPE_CHECKING:
    from tessera.cli.evaluation.command import EvaluateCommand


def list_benchmarks(command: EvaluateCommand) -> int:
    """All, or those that --on names; with the published scores of MODEL where it is named."""
    root = data_root(command.data)
    found = [find_benchmark(name) for name in expand_names(command.on)] or [*all_benchmarks().values()]
    command.tell(
        lambda: [values(each, root) for each in found], lambda: _show(found, root, command.model, command.on)
    )
    return 0


def values(benchmark: Benchmark, root: Path) -> dict[str, Any]:
    """All that is known of a benchmark."""
    return {
        **benchmark.model_dump(mode="json", exclude_none=True),
        "here": [name for name, form in benchmark.data.items() if not missing(form, root)],
    }


def _show(found: list[Benchmark], root: Path, model: str | None, named: tuple[str, ...]) -> None:
    if named and len(found) == 1:
        return _show_one(found[0], root)
    table = figures_table("benchmark", "questions", "metric", "published", "data here")
    for each in found:
        here = next((name for name, form in each.data.items() if not missing(form, root)), "–")
        questions = "" if each.questions is None else f"{each.questions:,}"
        table.add_row(each.name, questions, each.metric or each.scorer.name, published(each, model), here)
    Terminal().print(table)
    print(f"{len(found)} benchmarks; data are looked for below {root} (--data)")
    if model is None:
        print("published scores of a model: tessera evaluate InternVL3-8B --list")


def published(benchmark: Benchmark, model: str | None) -> str:
    """Scores of a model by any source; without one the range over all models."""
    scores = [
        value
        for by_model in benchmark.published.values()
        for name, value in by_model.items()
        if model is None or name.lower() == model.rpartition("/")[2].lower()
    ]
    if not scores:
        return ""
    low, high = min(scores), max(scores)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def in_words(rules: ResolvedRules) -> str:
    """How a preset asks and judges."""
    scorer = dict(rules.scorer)
    name, settings = scorer.pop("name"), ", ".join(f"{key} {value}" for key, value in scorer.items())
    asks = f"{rules.tiles or 'any'} tiles, {rules.new_tokens} tokens, scorer {name}"
    return f"{rules.preset}, {asks}{f' ({settings})' if settings else ''}, prompt {shown(rules.prompt)}"


def _show_one(benchmark: Benchmark, root: Path) -> None:
    print(f"{benchmark.name}: {benchmark.title}\n{benchmark.about}")
    for name, form in benchmark.data.items():
        gone = missing(form, root)
        state = f"missing {', '.join(gone[:3])}" if gone else "here"
        print(f"  data, {name}: {', '.join(form.file)} ({state})")
    for preset in PRESETS:
        print(f"  {preset}: {in_words(resolve(benchmark, preset))}")
    if not benchmark.published:
        return
    table = figures_table("model", *benchmark.published)
    models = dict.fromkeys(model for scores in benchmark.published.values() for model in scores)
    for model in models:
        cells = (scores.get(model) for scores in benchmark.published.values())
        table.add_row(model, *("" if value is None else f"{value:g}" for value in cells))
    Terminal().print(table)
