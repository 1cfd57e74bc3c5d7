"""The tables of docs/benchmarks.md, written from the files by `python -m tests.docs.benchmark_table`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tessera.evaluation.benchmarks.benchmark import Benchmark
from tessera.evaluation.benchmarks.catalogue import all_benchmarks, benchmark_groups, known_names

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
MARK = "<!-- made from the files -->"


def tables() -> str:
    """All that stands below the mark."""
    return "\n".join([*_groups(), *_published(), *_names()]) + "\n"


def page_with_tables(page: str) -> str:
    """The page, its tables as they should be."""
    return page.partition(MARK)[0] + MARK + "\n\n" + tables()


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _table(head: list[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))
    yield from map(_row, rows)
    yield ""


def _groups() -> Iterator[str]:
    known = all_benchmarks()
    for group, names in benchmark_groups().items():
        yield f"## {group.replace('_', ' ').capitalize()}"
        yield ""
        head = ["name", "what", "questions", "metric", "data", "own rules"]
        yield from _table(head, (_line(known[name]) for name in names))


def _line(one: Benchmark) -> list[object]:
    told = f"{one.title}. {one.about}" + (" Judge." if one.judge else "") + (" Export." if one.export else "")
    forms, presets = ", ".join(one.data), ", ".join(one.presets)
    return [f"`{one.name}`", told, one.questions or "", one.metric, forms, presets]


def _published() -> Iterator[str]:
    yield "## Published scores"
    yield ""
    sources: dict[str, dict[str, dict[str, float]]] = {}
    for name, one in all_benchmarks().items():
        for source, values in one.published.items():
            sources.setdefault(source, {})[name] = values
    for source, scores in sources.items():
        models = list(dict.fromkeys(model for values in scores.values() for model in values))
        yield f"### {source}"
        yield ""
        rows = ([f"`{name}`", *(values.get(m, "") for m in models)] for name, values in scores.items())
        yield from _table(["", *models], rows)


def _names() -> Iterator[str]:
    names = known_names()
    yield "## Other names and suites"
    yield ""
    rows = [(f"`{other}`", f"`{name}`") for other, name in names.aliases.items()]
    suites = [(f"`{suite}`", ", ".join(f"`{name}`" for name in of)) for suite, of in names.suites.items()]
    yield from _table(["name", "stands for"], [*rows, *suites])


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
