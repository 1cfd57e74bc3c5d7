"""`tessera graft`: a ViT out of a run onto another language model, then stages 1 and 2 on the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.weights import tensors_of
from tessera.cli.main import main
from tessera.train.loop import Trainer
from tessera.train.recipe import Start
from tessera.train.setup import set_up
from tests.checkpoints import base_folders, kinds
from tests.train import tiny


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run in which a ViT was trained with a small decoder."""
    folder = tmp_path / "run"
    assert all(report.loss > 0 for report in Trainer(set_up(tiny.recipe()), folder).run())
    return folder


def test_progressive_scaling(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ViT to the bit, the larger decoder to the bit, a connector of its own; then a warm-up and all."""
    large, out = tmp_path / "large", tmp_path / "grafted"
    base_folders.language_model(large, "qwen3")
    assert main(["graft", "--vision", str(run), "--decoder", str(large), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "run+large: 0.05 M parameters in float32\n" in shown
    tokens = base_folders.plain_tokenizer().vocab_size + 9
    assert f"prompt     template internvl2_5, {tokens} tokens, 9 new\n" in shown
    assert "2 layers of 16 channels" in shown and "QK-norm" in shown
    assert f"tessera train RECIPE --start.checkpoint {out}" in shown
    before, after = load_checkpoint(run / "1_full").model, load_checkpoint(out)
    trained = dict(tensors_of(before.vision))
    assert all(torch.equal(tensor, trained[name]) for name, tensor in tensors_of(after.model.vision))
    assert not torch.equal(after.model.connector.linear_1.weight, before.connector.linear_1.weight)
    assert after.card["grafted"]["vision"] == str(run)

    trainer = Trainer(set_up(tiny.recipe(start=Start(checkpoint=str(out)))), tmp_path / "scaled")
    losses = [report.loss for report in trainer.run()]
    warm = load_checkpoint(trainer.stage_folder(0)).model
    assert all(torch.equal(tensor, trained[name]) for name, tensor in tensors_of(warm.vision))
    assert not torch.equal(warm.connector.linear_1.weight, after.model.connector.linear_1.weight)
    assert losses[-1] < losses[0]


def test_json_and_a_cast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds.saved(tmp_path / "eye", "qwen2", "official")
    words = ["graft", "--vision", str(tmp_path / "eye"), "--decoder", str(tmp_path / "eye")]
    options = ["--dtype", "bfloat16", "--out", str(tmp_path / "out"), "--image-size", "32", "--json"]
    assert main([*words, *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["dtype"] == "bfloat16" and told["tile"] == "32 px, 16 tokens" and told["new_tokens"] == 0
    assert told["parts"].keys() == {"vision", "connector", "decoder"}
    opened = load_checkpoint(tmp_path / "out")
    assert {p.dtype for p in opened.model.parameters()} == {torch.bfloat16}
    stored = dict(tensors_of(kinds.model("qwen2").decoder))
    assert all(torch.equal(t, stored[name].bfloat16()) for name, t in tensors_of(opened.model.decoder))


def test_the_connector_follows_the_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = []
    for number, seed in enumerate(("1", "1", "2")):
        out = tmp_path / str(number)
        words = ["--vision", "shipped", "--decoder", "shipped", "--out", str(out), "--seed", seed]
        assert main(["graft", *words]) == 0
        weights.append(load_checkpoint(out).model.connector.linear_2.weight)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--vision", "none", "--decoder", "shipped", "--out", "{new}"], "no folder 'none' here"),
        (["--vision", "shipped", "--decoder", "shipped", "--out", "{full}"], "nothing is overwritten"),
        (["--vision", "shipped", "--decoder", "shipped", "--out", "{new}", "--template", "x"], "'x'"),
        (["--vision", "shipped", "--decoder", "shipped", "--out", "{new}", "--image-size", "60"], "60"),
    ],
)
def test_mistakes(words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full, new = tmp_path / "full", tmp_path / "new"
    full.mkdir()
    (full / "mine.txt").touch()
    assert main(["graft", *(word.format(full=full, new=new) for word in words)]) == 2
    shown = capsys.readouterr().err
    assert message in shown and len(shown.strip().splitlines()) == 1
    assert not new.exists()
