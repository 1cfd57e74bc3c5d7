"""The benchmark of experts: all sides compute the same, and its last line is JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_a_small_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    small = "--width 128 --layers 2 --experts 8 --tokens 32 --repeats 1"
    monkeypatch.setattr(sys, "argv", ["moe.py", *small.split()])
    from moe import main  # type: ignore[import-not-found]

    main()
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["shape"]["experts"] == 8 and told["apart"] < 0.05
    assert set(told["token_s"]) == {"ours", "eager", "grouped_mm", "batched_mm"}
