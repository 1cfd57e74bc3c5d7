"""The inference benchmark runs from beginning to end at toy size, and its own checks can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MEASURED = {"load", "load and first token", "one tile: tokens/s", "first token", "of it ViT", "peak MiB"}


def test_toy_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One repeat, two tiles, five tokens; the figures mean nothing at this size."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARKS.parent / "src"))
    import inference

    inference.main(["--shape", "toy", "--tiles", "2", "--tokens", "5", "--repeats", "1", "--threads", "1"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result["rows"]) == {"ours", "theirs"}
    for row in result["rows"].values():
        assert set(row) >= MEASURED and all(value > 0 for value in row.values())
    assert result["differences"]["float32"] < 1e-3
    assert inference.better("load", 1.0, 2.0) == 2.0 and inference.better("tokens/s", 3.0, 2.0) == 1.5
