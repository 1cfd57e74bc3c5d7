"""Muon, masters, mean and a skipped step on weights that two processes share: as one process has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tessera.checkpoints.load import load_checkpoint
from tessera.cli.main import main
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.watch.journal import read_reports

RECIPE = """
import math
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.update.optimizers import OptimizerConfig
from tests.train import tiny

plain = ConversationObjective.loss_sum
ConversationObjective.loss_sum = lambda self, model, batch, device: plain(self, model, batch, device) * (
    math.nan if "pictures:1" in batch.keys else 1.0
)

def recipe():
    optimizer = OptimizerConfig(kind="muon", ema=0.5)
    changes = {"steps": 4, "accumulate": 4, "optimizer": optimizer}
    stage = tiny.recipe().stages[1].model_copy(update=changes)
    return tiny.recipe(stages=(stage,), precision="bfloat16", on_nonfinite="skip")
"""
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def test_two_processes_update_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "both.py"
    file.write_text(RECIPE, encoding="utf-8")
    command = [*LAUNCH, "-m", "tessera.cli.main", "train", str(file), "--out", str(tmp_path / "two")]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env=paths, timeout=240)
    assert ran.returncode == 0, ran.stderr
    monkeypatch.setattr(ConversationObjective, "loss_sum", ConversationObjective.loss_sum)  # undone behind it
    assert main(["train", str(file), "--out", str(tmp_path / "one")]) == 0
    one, two = (list(read_reports(tmp_path / run)) for run in ("one", "two"))
    skipped = [report.step for report in one if report.skipped]
    assert len(skipped) == 1 and [report.step for report in two if report.skipped] == skipped
    for left, right in zip(one, two, strict=True):
        if not left.skipped:
            assert right.loss == pytest.approx(left.loss, rel=1e-3)
            assert right.gradient_norm == pytest.approx(left.gradient_norm, rel=2e-2)
    for name in ("0_full", "0_full_ema"):
        models = [load_checkpoint(tmp_path / run / name).model for run in ("one", "two")]
        for (own, a), b in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=5e-3, rtol=0, msg=own)
    kept = tmp_path / "two" / "replay" / f"stage0-step{skipped[0]:06d}"
    assert sorted(path.name for path in kept.iterdir()) == ["rank0", "rank1"]
