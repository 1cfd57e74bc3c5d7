"""docs/benchmark_data.md: the forms it shows are valid, its fields are all there are, and its Python runs."""

import re
from pathlib import Path

import pytest
import yaml

from tessera.evaluation.benchmarks.benchmark import Benchmark, DataForm
from tessera.evaluation.drawn.benchmarks import write_benchmarks
from tessera.evaluation.predictions.vlmevalkit import read_kit_table


@pytest.fixture(scope="module")
def page(repo_root: Path) -> str:
    return (repo_root / "docs" / "benchmark_data.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_forms_are_valid(page: str) -> None:
    shown = [yaml.safe_load(block) for block in blocks(page, "yaml")]
    assert len(shown) >= 4
    for given in shown:
        (Benchmark if "scorer" in given else DataForm).model_validate(given)


def test_every_field_of_a_form_is_told(page: str) -> None:
    told = set(
        re.findall(r"`(\w+)`", "".join(line for line in page.splitlines(True) if line.startswith("| `")))
    )
    assert set(DataForm.model_fields) <= told


def test_the_example_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_benchmarks(tmp_path / "drawn", 2)
    (example,) = blocks(page, "python")
    exec(compile(example, "example", "exec"), {})
    assert set(read_kit_table(Path("oracle_MMBench_DEV_EN.tsv")).values()) <= set("ABCD")
