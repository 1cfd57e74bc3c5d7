"""The benchmark of the pair's steps: all sides give one loss and one gradient, and its last line is JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_a_small_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "argv", ["pair.py", "--shape", "tiny", "--pictures", "5", "--steps", "1"])
    from pair import main  # type: ignore[import-not-found]

    main()  # exits where losses or norms differ
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(told["seconds"]) == {"contrast", "tasks"}
    assert set(told["speedup"]["tasks"]) == {"padded", "longest"}
