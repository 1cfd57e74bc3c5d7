"""`tessera evaluate` from a checkpoint folder to table, JSON and page, with an untrained model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tessera.align.critics.critic import Judged
from tessera.align.critics.process import ProcessCritic
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
    arguments = [str(model_folder), "--count", "2", "--tasks", "count", "order", "--blind"]
    assert main(["evaluate", *arguments, "--json", "--out", str(page)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown["picture"]["tasks"]) == {"count", "order"} == set(shown["blind"]["tasks"])
    assert shown["picture"]["settings"]["template"] == "internvl2_5"
    assert "text only" in page.read_text(encoding="utf-8")


def test_table(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(model_folder), "--count", "2", "--tasks", "count"]) == 0
    shown = capsys.readouterr().out
    assert "count" in shown and "mean, one picture" in shown and "tokens/s" in shown


def test_unknown_task_is_one_line(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(model_folder), "--tasks", "colour"]) == 2
    assert "colour unknown; choose from attribute" in capsys.readouterr().err


def test_majority_with_its_curve(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    words = ["evaluate", str(model_folder), "--count", "3", "--tasks", "count", "reason"]
    words += ["--majority", "4", "--new-tokens", "6"]
    assert main([*words, "--json", "--blind", "--out", str(page)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [point["k"] for point in shown["curve"]] == [1, 2, 4]
    assert set(shown["curve"][0]["shares"]) == {"majority", "any right"}
    assert shown["picture"]["settings"]["selection.method"] == "majority" and shown["blind"]["tasks"]
    assert "by number of candidates" in page.read_text(encoding="utf-8")
    assert main([*words, "--cot", "en_v2"]) == 0
    shown = capsys.readouterr().out
    assert "any right" in shown and "mean, all tasks" in shown


def test_best_of_by_a_critic(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class ShortestCritic:
        def score(self, conversation: Any, responses: Sequence[str]) -> list[Judged]:
            assert all(responses) and conversation.messages[-1].role == "user"
            return [Judged(-float(len(response))) for response in responses]

    monkeypatch.setattr(ProcessCritic, "open", lambda *_, **__: ShortestCritic())
    words = [
        "evaluate",
        str(model_folder),
        "--count",
        "2",
        "--tasks",
        "count",
        "--new-tokens",
        "6",
    ]
    prm = ["--best-of", "3", "--critic", str(model_folder)]
    assert main([*words, *prm, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown["curve"][2]["shares"]) == {"majority", "best of", "any right"}
    assert shown["curve"][2]["critic_seconds"] >= 0 and shown["picture"]["settings"]["n"] == 3
    for more, told in (
        (["--best-of", "3"], "--best-of 3: needs --critic"),
        ([*prm, "--majority", "4"], "--best-of and --majority: give one number"),
        (["--majority", "3", "--temperature", "0"], "--temperature 0: all candidates would be alike"),
        (["--cot", "en_v9"], "--cot 'en_v9': choose one of en, zh"),
    ):
        assert main([*words, *more]) == 2
        assert told in capsys.readouterr().err
