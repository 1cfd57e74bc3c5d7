"""The benchmark of decoding: our side measures something, ratios say who is better."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "argv", ["decode_sides.py", "ours", "processor"])


def test_our_side(tmp_path: Path) -> None:
    from decode_sides import OurDecoding, handle
    from inference_checkpoint import write

    write(tmp_path, "toy", "official")
    side = OurDecoding()
    read = {
        kind: handle(side, {"do": "load", "folder": str(tmp_path), "linears": kind})
        for kind in ("int4", "int8", "packed")
    }
    assert 0 < read["int4"] < read["int8"] < read["packed"] < 2 * 5_000_000
    assert handle(side, {"do": "decode", "batch": 4, "tokens": 8}) > 1
    assert handle(side, {"do": "prefill", "tokens": 40}) > 1


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    from decode import show

    ours = {"batch 1, tokens/s": 30.0, "first token, s": 2.0, "peak MiB": 100.0, "share": 0.5}
    show("bf16", {"ours": ours, "llama.cpp": {"batch 1, tokens/s": 20.0, "first token, s": 3.0}})
    lines = capsys.readouterr().out.splitlines()
    assert "| batch 1, tokens/s | 30 | 20 | 1.50 |" in lines
    assert "| first token, s | 2 | 3 | 1.50 |" in lines
    assert "| share | 0.5 | – | – |" in lines
