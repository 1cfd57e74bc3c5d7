"""Two processes take the same steps as one: same losses, same weights; uneven shares are refused."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tessera.nn.attention.layout import Packed
from tessera.train.parallel.ranks import Ranks
from tessera.train.plan.flops import forward_work
from tessera.train.setup import set_up
from tests.train import tiny

RECIPE = """
from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.update.rules import Rule
from tessera.train.recipe import Recipe, Stage, Start

def recipe():
    stage = Stage(
        name="all", steps=3, rules=(Rule(pattern=".", learning_rate=1e-3),), accumulate=2,
        sources=(PlaygroundSource(suites={"shapes": 1.0}, questions=3),),
        packing=PackingConfig(max_tokens=512, max_tiles=16, lookahead=4),
    )
    start = Start(family="nano_model")
    return Recipe(name="two", stages=(stage,), start=start, precision="float32", device="cpu")
"""


LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
LAUNCH += ["-m", "tessera.cli.main", "train"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def test_a_stopped_rank_ends_the_run_by_its_name(tmp_path: Path) -> None:
    """The others waited for it as long as they lived."""
    file, out = tmp_path / "two.py", tmp_path / "run"
    file.write_text(RECIPE.replace("steps=3,", "steps=100_000,"), encoding="utf-8")
    command, settings = [*LAUNCH, str(file), "--out", str(out)], _environment() | {"TESSERA_PATIENCE": "7"}
    run = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=settings
    )
    telemetry = out / "telemetry.jsonl"
    while not (telemetry.is_file() and telemetry.read_text()):
        assert run.poll() is None, run.communicate()
        time.sleep(0.2)
    _, second = sorted(map(int, Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()))
    os.kill(second, signal.SIGSTOP)
    _, said = run.communicate(timeout=60)
    where = r"last seen at stage 'all', step \d+, (loading|behind it|samples 'playground:\d+', .*),"
    assert run.returncode == 1
    assert re.search(rf"rank 1 \(process {second} on .*\), {where} gave no sign of life", said), said


def test_steps_that_ranks_cannot_share_are_refused() -> None:
    recipe = tiny.recipe()
    stage = recipe.stages[0].model_copy(update={"accumulate": 3})
    with pytest.raises(ValueError, match="packs_per_step = 3 can't be shared by 2 ranks"):
        set_up(recipe.model_copy(update={"stages": (stage,)})).loader(0, Ranks(0, 2))


def test_work_counts_what_a_pass_computes() -> None:
    """A tile by the formulas of its parts, tokens and pairs by PyTorch's own counter, which knows no mask."""
    model = tiny.model().eval()
    vision, width, tokens = model.config.vision, model.config.vision.hidden_size, 24
    work = forward_work(model.config)
    patches = vision.grid**2 + 1
    weights = 4 * width**2 + 2 * width * vision.intermediate_size
    layer = 2 * weights * patches + 4 * width * patches**2
    embedding = 2 * vision.grid**2 * 3 * vision.patch_size**2 * width
    wide, merged = model.config.decoder.hidden_size, width * model.config.shuffle_factor**2
    connector = 2 * model.config.tokens_per_tile * (merged * wide + wide**2)
    assert work.tile == embedding + vision.num_hidden_layers * layer + connector
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.decoder.to("meta")(torch.zeros(tokens, wide, device="meta"), Packed((tokens,)))
    assert counter.get_total_flops() == tokens * work.token + tokens**2 * work.pair
