"""The page of benchmarks says what their files say."""

import re
from pathlib import Path

from tessera.evaluation.benchmarks.catalogue import find_benchmark
from tests.docs.benchmark_table import PAGE, page_with_tables


def test_tables_are_those_of_the_files() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with_tables(page), "write it anew: python -m tests.docs.benchmark_table"


def test_the_file_of_the_page_is_a_benchmark(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(text.splitlines()) <= 5
    (tmp_path / "own.yaml").write_text(text)
    assert find_benchmark(tmp_path / "own.yaml").name == "receipts"
