"""The packing benchmark runs; its bound is one, its baselines pass their cases by hand, and we beat them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLANNERS = {
    "ours, whole epoch",
    "ours, default window",
    "official buffers",
    "official, no dummy tiles",
    "first fit",
}


def test_goals_hold_on_small_samples() -> None:
    """A coarse bound is found sooner; the script itself stops when a case by hand comes out otherwise."""
    options = ["--samples", "500", "--seed", "3", "--repeats", "1", "--token-steps", "32"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "packing.py"), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    both = {"single tiles", "long captions", "clips and text"}
    assert set(found["results"]) == {"text", "captions", "documents", "video", "mixture"} | both
    assert found["goals"]["never more packs than the official algorithm"]
    for name, result in found["results"].items():
        assert set(result["planners"]) == PLANNERS
        for label, row in result["planners"].items():
            assert row["packs"] >= result["bound"], f"{name}, {label}: the bound is none"
    assert "| mixture | official buffers |" in done.stdout
