"""The benchmark of an MPO step runs as a script from beginning to end at toy size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path


def test_toy_run(repo_root: Path) -> None:
    """Two pairs with a picture each: sharing prompts changes neither loss nor gradients, nor does TRL."""
    variants = ["shared", "apart", *(["padded"] if find_spec("trl") else [])]
    command = [sys.executable, str(repo_root / "benchmarks" / "preference_step.py"), "--shape", "toy"]
    command += ["--precision", "float32", "--pairs", "2", "--variants", *variants]
    environment = {**os.environ, "PYTHONPATH": str(repo_root / "src")}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["rows"]) == set(variants)
    assert found["differences"]["loss"] < 1e-5 and found["differences"]["gradient_norm"] < 1e-4
    assert all(row["gradient_norm"] > 0 and row["pairs_per_minute"] > 0 for row in found["rows"].values())
    tokens = sum(sum(pair) for step in found["answers"] for pair in step)
    assert found["tokens_shared"] > tokens
    ratio = found["over"]["shared over apart"]["pairs_per_minute"]
    speeds = [found["rows"][name]["pairs_per_minute"] for name in ("shared", "apart")]
    assert abs(ratio - speeds[0] / speeds[1]) < 0.01
