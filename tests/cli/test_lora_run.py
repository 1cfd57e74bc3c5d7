"""`tessera train` with LoRA, from a folder of other people's layout to a model that chats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.cli.main import main
from tessera.families.catalogue import fresh
from tests.train import tiny

RECIPE = """
from tessera.nn.lora import LoRAConfig
from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.rules import Rule

def recipe():
    lora = Rule(pattern=r"^decoder\\.layers\\.", learning_rate=1e-2, lora=LoRAConfig(rank=2))
    stage = Stage(
        name="tuned", steps=2, rules=(lora, Rule(pattern=".")),
        sources=(PlaygroundSource(suites={"shapes": 1.0}, questions=3),),
        packing=PackingConfig(max_tokens=512, max_tiles=16, lookahead=4),
    )
    return Recipe(name="lora", stages=(stage,), start=Start(checkpoint=BASE, frozen="int4"), device="cpu")
"""


def test_the_end_of_a_run_is_one_merged_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained beside an int4 base, merged into the stored one; the second call trains and merges nothing."""
    family = fresh("nano_model", tiny.tokenizer())
    base = save_checkpoint(tmp_path / "base", tiny.model(), family, tiny.tokenizer(), "official")
    file = tmp_path / "mine.py"
    file.write_text(f"BASE = {str(base)!r}\n{RECIPE}")
    words = ["train", str(file), "--out", str(tmp_path / "run"), "--json"]
    assert main(words) == 0
    said = capsys.readouterr()
    told = json.loads(said.out.splitlines()[-1])
    assert told["model"] == str(tmp_path / "run" / "merged")
    assert "merged, logits differ by at most" in said.err
    merged = load_checkpoint(tmp_path / "run" / "merged")
    assert merged.layout == "official"
    adapted = load_checkpoint(base, adapter=tmp_path / "run" / "0_tuned").model
    for name, parameter in merged.model.named_parameters():
        assert torch.equal(parameter, dict(adapted.named_parameters())[name])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "merged").iterdir()}
    assert main(words) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "merged").iterdir()}


def test_the_adapter_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    family = fresh("nano_model", tiny.tokenizer())
    base = save_checkpoint(tmp_path / "base", tiny.model(), family, tiny.tokenizer(), "transformers")
    file = tmp_path / "mine.py"
    file.write_text(f"BASE = {str(base)!r}\n{RECIPE}")
    assert main(["train", str(file), "--out", str(tmp_path / "run"), "--json", "--no-merge"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["model"] == str(tmp_path / "run" / "0_tuned") and not (tmp_path / "run" / "merged").exists()
