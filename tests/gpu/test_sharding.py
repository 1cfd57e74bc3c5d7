"""Two GPUs that share weights take the steps of one. All else about processes is tested on CPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tessera.train.watch.journal import read_reports

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")

RECIPE = """
from tests.train import tiny
stages = tuple(stage.model_copy(update={"accumulate": 2}) for stage in tiny.recipe().stages)
recipe = lambda: tiny.recipe(stages=stages, device="cuda")
"""


def _losses(folder: Path, processes: int, *options: str) -> list[float]:
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command = [sys.executable, "-m", *launch, "tessera.cli.main", "train", str(folder / "on_gpus.py")]
    out = folder / f"run{processes}{len(options)}"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run([*command, "--out", str(out), *options], check=True, timeout=300, env=env)
    return [report.loss for report in read_reports(out)]


@pytest.mark.parametrize("options", [(), ("--parallel.sequence", "2"), ("--parallel.tensor", "2")])
def test_two_gpus_take_the_steps_of_one(options: tuple[str, ...], tmp_path: Path) -> None:
    """nccl, states from pinned copies in the background, all ways to share."""
    (tmp_path / "on_gpus.py").write_text(RECIPE)
    assert _losses(tmp_path, 2, *options) == pytest.approx(_losses(tmp_path, 1), rel=1e-4)
