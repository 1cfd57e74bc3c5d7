"""`tessera evaluate` from a checkpoint folder to table, JSON and page, with an untrained model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.save import save_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.main import main
from tessera.families.catalogue import fresh
from tessera.models.vlm import VLM


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A nano model with random weights."""
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    family = fresh("nano_model", tokenizer)
    torch.manual_seed(0)
    return save_checkpoint(tmp_path_factory.mktemp("nano"), VLM(family.model), family, tokenizer)


def test_json_and_page(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    arguments = ["--model", str(model_folder), "--count", "2", "--tasks", "count", "order", "--blind"]
    assert main(["evaluate", *arguments, "--json", "--out", str(page)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown["picture"]["tasks"]) == {"count", "order"} == set(shown["blind"]["tasks"])
    assert shown["picture"]["settings"]["template"] == "internvl2_5"
    assert "text only" in page.read_text(encoding="utf-8")


def test_table(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", str(model_folder), "--count", "2", "--tasks", "count"]) == 0
    shown = capsys.readouterr().out
    assert "count" in shown and "mean, one picture" in shown and "tokens/s" in shown


def test_unknown_task_is_one_line(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", str(model_folder), "--tasks", "colour"]) == 2
    assert "colour unknown; choose from attribute" in capsys.readouterr().err
