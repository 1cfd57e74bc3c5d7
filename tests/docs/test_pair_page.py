"""The page of the pair: its commands, its record and its Python, at toy size."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import tessera
from tessera.cli.main import main
from tessera.recipes.shelf import load_recipe
from tessera.train.objective.contract import ManifestSpec
from tessera.train.objective.pairing.learner import PairModelLearner
from tessera.train.objective.pairing.retrieval import PairRetrievalObjective
from tessera.train.recipe import Stage, Start
from tessera.train.update.rules import Rule
from tests.checkpoints.test_pair_folders import written


def blocks(repo_root: Path, language: str) -> list[str]:
    page = (repo_root / "docs" / "pair.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.S | re.M)


def test_python_of_the_page(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Word for word, on a toy in the place of the released files."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.png"):
        PIL.Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(name)
    toy = tessera.load(written(tmp_path / "pair"))
    monkeypatch.setattr(tessera, "load", lambda name: toy)
    (code,) = blocks(repo_root, "python")
    told: dict[str, object] = {}
    exec(compile(code, "docs/pair.md", "exec"), told)
    assert told["better"].shape == (2, 24) and told["texts"].shape == (2, 24)  # type: ignore[attr-defined]


def test_commands_of_the_page(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (shell,) = blocks(repo_root, "sh")
    commands = [line.partition("#")[0].split()[1:] for line in shell.splitlines()]
    shown, copied, trained = commands
    assert main(shown) == 0 and main(copied) == 0
    assert Path("stage_2.py").is_file() and load_recipe(tmp_path / "stage_2.py").name == "pair_stage_2"
    assert load_recipe(trained[1]).name == "scale_pair"


def test_the_record_of_the_page(repo_root: Path, tmp_path: Path) -> None:
    (record,) = blocks(repo_root, "json")
    PIL.Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / json.loads(record)["image"])
    (tmp_path / "captions.jsonl").write_text(record)
    meta = {"own": {"root": str(tmp_path), "annotation": str(tmp_path / "captions.jsonl")}}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    spec = ManifestSpec(meta=str(tmp_path / "meta.json"))
    objective, rules = PairRetrievalObjective(), (Rule(pattern=".", learning_rate=1e-6),)
    stage = Stage(name="own", steps=1, rules=rules, sources=(spec,), objective=objective)
    learner = PairModelLearner.start(Start(family="nano_pair"), 0)
    assert objective.check(stage, learner)[1].records == 1


def test_the_command_trains_the_toy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line: a run starts without a plan, which pairs don't have."""
    small = ["--start.family", "nano_pair", "--start.vision", "None"]
    for stage in range(3):
        small += [f"--stages.{stage}.steps", "1", f"--stages.{stage}.objective.pictures", "2"]
    assert main(["train", "scale_pair", "--out", str(tmp_path / "run"), *small]) == 0
    model = tessera.load(tmp_path / "run" / "2_tasks")
    assert len(model.embed_texts(["a red circle"])) == 1  # type: ignore[attr-defined]
    capsys.readouterr()
    assert main(["train", "scale_pair", "--plan"]) != 0
    assert "pairs are not planned" in capsys.readouterr().err
