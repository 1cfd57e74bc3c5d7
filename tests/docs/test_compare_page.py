"""docs/compare_runs.md is true: its code runs on two stored runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.evaluation.run_folders import line, write_run

PAGE = ROOT / "docs" / "compare_runs.md"


def test_code(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, right in (("before", 12), ("after", 18)):
        rows = [
            line(n, n < right, fields={"category": "abc"[n % 3], "picture": f"p{n // 2}"}) for n in range(30)
        ]
        write_run(Path("runs/evaluation") / name / "pope", rows)
    for code in blocks(PAGE, "python"):
        exec(compile(code, os.fspath(PAGE), "exec"), {})
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("Estimate(value=40.0") and "1000 draws" in first
    assert second.startswith("20.0 ") and second.endswith("['12', '13', '14', '15', '16', '17']")
    assert third.startswith("(-") and third.endswith(")")
