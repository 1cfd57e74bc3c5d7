"""`tessera tune` from the command line: chosen, written, trained, gone on with, and tuned again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera.cli.main import RECIPE_FIELDS, main, set_aside
from tessera.cli.training.tune import TuneCommand
from tessera.recipes.shelf import load_recipe
from tessera.records.export import write_dataset
from tessera.train.recipe import Recipe
from tessera.train.watch.journal import read_reports

FEW = ["--stages.0.steps", "2", "--stages.0.validation-packs", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("clocks"), {"clock": 1.0}, count=24).meta


@pytest.fixture(scope="module")
def tuned(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fine-tune in full."""
    out = tmp_path_factory.mktemp("runs") / "mine"
    given = ["tune", "shipped", str(data), "--out", str(out), "--save-every", "7"]
    assert main([*given, "--full", *FEW]) == 0
    return out


def test_all_fields_of_a_recipe_can_be_set() -> None:
    """`--save-every` was no option of `tune`, although docs/runs.md relies on it."""
    parts = {"stages", "start", "parallel"}
    assert set(RECIPE_FIELDS) == Recipe.model_fields.keys() - parts - set(vars(TuneCommand(words=("a", "b"))))
    words = ["tune", "a", "--save-every", "4", "--best=no"]
    assert set_aside(words) == (["tune", "a"], ["--save-every", "4", "--best=no"])


def test_options_with_a_dot_are_set_aside() -> None:
    words = ["tune", "a", "--stages.0.betas", "0.9", "0.95", "--out", "x", "--start.seed=3", "-h"]
    assert set_aside(words) == (
        ["tune", "a", "--out", "x"],
        ["--stages.0.betas", "0.9", "0.95", "--start.seed=3", "-h"],
    )
    assert set_aside(["train", "--stages.0.steps", "1"]) == (["train", "--stages.0.steps", "1"], [])


def test_the_recipe_is_written_and_trained(tuned: Path) -> None:
    recipe = load_recipe(tuned / "recipe.py")
    assert recipe.stages[0].steps == 2 and recipe.device == "cpu" and recipe.save_every == 7
    reports = list(read_reports(tuned))
    assert len(reports) == 2 and reports[-1].validation_loss is not None
    assert (tuned / "0_tune").is_dir()


def test_the_same_command_finds_it_done_and_another_is_refused(
    tuned: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tune", "shipped", str(data), "--out", str(tuned), "--save-every", "7", "--full", *FEW]
    assert main(command) == 0
    assert "finished before" in capsys.readouterr().out
    assert main([*command, "--rate", "1e-3"]) == 2
    assert "was begun with rate None, now 0.001" in capsys.readouterr().err


def test_the_written_recipe_trains_the_same(tuned: Path, tmp_path: Path) -> None:
    assert main(["train", str(tuned / "recipe.py"), "--out", str(tmp_path / "again")]) == 0
    losses = [[report.loss for report in read_reports(run)] for run in (tuned, tmp_path / "again")]
    assert losses[0] == losses[1]


def test_a_second_fine_tune_starts_from_the_first(tuned: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "second"
    assert main(["tune", str(tuned), str(data), "--out", str(out), "--full", *FEW, "--val", "0"]) == 0
    recipe = load_recipe(out / "recipe.py")
    assert recipe.start.checkpoint == str(tuned / "0_tune") and recipe.stages[0].validation == ()
    assert next(iter(read_reports(out))).loss < next(iter(read_reports(tuned))).loss


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shipped"], "give a model and data"),
        (["nowhere/model", "DATA"], "nowhere/model"),
        (["shipped", "nothing.jsonl"], "data: no file 'nothing.jsonl'"),
        (["shipped", "DATA", "--stages.0.stepz", "2"], "--stages.0.stepz"),
        (["shipped", "DATA", "--lora-rank", "0"], "lora_rank"),
        (["shipped", "DATA", "--val", "1.5"], "--val 1.5: give a share"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    words: list[str], said: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(data) if word == "DATA" else word for word in words]
    assert main(["tune", *words, "--out", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "state").exists()


def test_lora_is_merged_and_tuned_again(data: Path, tmp_path: Path) -> None:
    """The second starts from the merged model of the first."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["tune", "shipped", str(data), "--out", str(first), *FEW]) == 0
    assert (first / "0_tune" / "adapter_config.json").is_file() and (first / "merged").is_dir()
    assert main(["tune", str(first), str(data), "--out", str(second), "--resume", *FEW]) == 2
    assert main(["tune", str(first), str(data), "--out", str(second), "--ask", "0", *FEW]) == 0
    recipe = load_recipe(second / "recipe.py")
    assert recipe.start.checkpoint == str(first / "merged") and recipe.stages[0].evaluation is None
    assert main(["tune", str(first), str(data), "--out", str(second), "--resume", "--ask", "0", *FEW]) == 0


def test_a_request_that_trained_nothing_may_be_changed(data: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    command = ["tune", "shipped", str(data), "--full", "--out", out, *FEW]
    assert main([*command, "--stages.0.validation", "missing.json"]) == 2
    assert main([*command, "--rate", "1e-4"]) == 0
    assert json.loads((tmp_path / "run" / "tune.json").read_text())["rate"] == 1e-4


def test_the_plan_is_asked_before_the_start(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tessera.cli.training.plan.SMALL", 0)
    command = ["tune", "shipped", str(data), "--full", "--val", "0", *FEW]
    assert main([*command, "--out", str(tmp_path / "tight"), "--device-memory", "100MB"]) == 2
    assert "stage 'tune' needs about" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "wide"), "--device-memory", "90GB"]) == 0
    assert "fits as it is" in capsys.readouterr().out
    assert load_recipe(tmp_path / "wide" / "recipe.py").stages[0].recompute == "none"
