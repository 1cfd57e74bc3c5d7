"""The benchmark of a training step runs as a script from beginning to end at toy size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOY = "--shape toy --steps 1 --mixtures captions --training lora --precision float32 --variants ours padded"


def test_toy_run(repo_root: Path) -> None:
    """One step of every variant; the times mean nothing at this size, the losses do."""
    pytest.importorskip("peft", reason="the peer of LoRA is not installed")
    command = [sys.executable, str(repo_root / "benchmarks" / "training_step.py"), *TOY.split()]
    environment = {**os.environ, "PYTHONPATH": str(repo_root / "src")}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    (case,) = json.loads(done.stdout.splitlines()[-1])["cases"].values()
    assert set(case["rows"]) == {"ours", "padded"}
    assert case["differences"]["loss"] < 1e-5 and case["differences"]["gradient_norm"] < 1e-4
    speeds = {name: row["supervised_tokens_per_second"] for name, row in case["rows"].items()}
    assert all(speed > 0 for speed in speeds.values())
    ratio = case["over"]["ours over padded"]["supervised_tokens_per_second"]
    assert abs(ratio - speeds["ours"] / speeds["padded"]) < 0.01
