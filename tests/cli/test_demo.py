"""`tessera demo` on a model of a few thousand weights: the whole way, then a call with nothing left to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera.cli.main import main

RECIPE = """
from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.update.rules import Rule
from tessera.train.recipe import Recipe, Stage, Start

def stage(name, pattern):
    rules = (Rule(pattern=pattern, learning_rate=1e-3), Rule(pattern="."))
    packing = PackingConfig(max_tokens=1024, max_tiles=16)
    return Stage(name=name, steps=2, rules=rules, sources=(PlaygroundSource(name=name),), packing=packing)

def recipe():
    stages = (stage("first", "^connector"), stage("second", "^(connector|decoder)"))
    return Recipe(name="tiny", stages=stages, start=Start(family="nano_model"), precision="float32")
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "tiny.py").write_text(RECIPE)
    return ["demo", "--recipe", str(tmp_path / "tiny.py"), "--out", str(tmp_path / "run"), "--count", "1"]


def test_demo_trains_measures_and_reports(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    for word in ("text only", "first", "second", "mean, one picture", "pack fill", "not seen in training"):
        assert word in shown
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.count("<polyline") >= 2 and "Packs" in page
    assert (tmp_path / "run" / "new_picture.png").is_file()
    assert len((tmp_path / "run" / "telemetry.jsonl").read_text().splitlines()) == 4


def test_a_finished_demo_is_measured_again_without_training(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    steps = (tmp_path / "run" / "telemetry.jsonl").read_text()
    assert main([*arguments, "--json"]) == 0
    second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (tmp_path / "run" / "telemetry.jsonl").read_text() == steps
    assert set(first["stages"]) == set(second["stages"]) == {"first", "second"}
    assert first["stages"]["second"]["mean"] == second["stages"]["second"]["mean"]
