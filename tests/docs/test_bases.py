"""docs/bases.md is true: its Python and its graft run, on small bases under the names it uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tessera.checkpoints.load import load_checkpoint
from tessera.cli.main import main
from tessera.train.objective.learner import Start
from tests.checkpoints import base_folders
from tests.docs.pages import blocks, commands

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bases.md"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    base_folders.vit(tmp_path / "OpenGVLab" / "InternViT-300M-448px")
    for name in ("Qwen2.5-0.5B", "Qwen2.5-32B-Instruct"):
        base_folders.language_model(tmp_path / "Qwen" / name, "qwen2", torch.bfloat16)
    base_folders.vit(tmp_path / "runs" / "small" / "1_vit_incremental")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_of_the_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in blocks(PAGE, "python"):
        exec(block, names)  # noqa: S102
    assert capsys.readouterr().out.startswith("internvl2_5 16 ")
    assert names["objective"].layers == 1
    assert [source.token_share for source in names["sources"]] == [1, 3]


def test_the_graft_of_the_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graft, train = commands(PAGE)
    assert main(graft[1:]) == 0
    assert load_checkpoint(place / train[-1]).family.name == "small+Qwen2.5-32B-Instruct"
    assert " ".join(train[3:]) in capsys.readouterr().out


def test_every_field_of_the_table_exists() -> None:
    rows = [
        line.split("`")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:8] == "| `start"
    ]
    assert len(rows) == 7 and all(row.removeprefix("start.") in Start.model_fields for row in rows)
