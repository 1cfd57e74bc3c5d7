"""The inference benchmark runs as a script from beginning to end at toy size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

MEASURED = {"load", "load and first token", "one tile: tokens/s", "first token", "of it ViT", "peak MiB"}
TOY = "--shape toy --tiles 2 --tokens 5 --repeats 1 --threads 1"


def test_toy_run(repo_root: Path) -> None:
    """One repeat, two tiles, five tokens; the figures mean nothing at this size."""
    command = [sys.executable, str(repo_root / "benchmarks" / "inference.py"), *TOY.split()]
    environment = {**os.environ, "PYTHONPATH": str(repo_root / "src")}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    *table, last = done.stdout.splitlines()
    result = json.loads(last)
    assert set(result["rows"]) == {"ours", "theirs"}
    ours, theirs = result["rows"]["ours"], result["rows"]["theirs"]
    for row in (ours, theirs):
        assert set(row) >= MEASURED and all(value > 0 for value in row.values())
    assert result["differences"]["float32"] < 1e-3
    ratios = {line.split(" | ")[0].strip("| "): line.split(" | ")[-1].strip("| ") for line in table}
    assert ratios["load"] == f"{theirs['load'] / ours['load']:.2f}", "seconds: fewer are better"
    assert ratios["tokens/s"] == f"{ours['tokens/s'] / theirs['tokens/s']:.2f}", "speed: more is better"
