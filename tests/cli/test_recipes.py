"""`tessera recipes` and `tessera train`: the list, a copy, and arguments in any order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tessera.cli.main import main, parse
from tessera.cli.training.train import TrainCommand
from tessera.recipes.shelf import load_recipe, shipped_recipes
from tessera.train.plan.machine import Machine
from tessera.train.plan.run_plan import plan_run
from tests.cli.test_demo import RECIPE


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    (tmp_path / "tiny.py").write_text(RECIPE)
    return str(tmp_path / "tiny.py")


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line for line in shown.splitlines() if "/" in line}
    single = [name for name in shipped_recipes() if not name.endswith("all_stages")]
    assert all(name in lines for name in single) and max(map(len, shown.splitlines())) <= 100
    told = " ".join(lines["internvl_2_5/8b/stage_1_5"].split()[1:])
    assert told == "ViT, connector 1e-5 1024 x 16K 100,000 76B 512 GPUs 22"
    assert main(["recipes", "--json"]) == 0
    found = {recipe["name"]: recipe for recipe in json.loads(capsys.readouterr().out)}
    assert found["scale_model/internvl_2_5"]["stages"]["full"] == 620
    assert found["internvl_2_5/8b/all_stages"]["stages"]["stage_2"] == 5500
    assert set(found) == set(shipped_recipes())


def test_a_list_of_what_the_words_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "2.5", "8B", "lora", "--json"]) == 0
    assert [r["name"] for r in json.loads(capsys.readouterr().out)] == ["internvl_2_5/8b/second_lora"]
    assert main(["recipes", "3", "lora", "96B"]) == 2
    assert "no recipe has '3' and 'lora' and '96B'; leave out a word" in capsys.readouterr().err
    assert main(["recipes", "internvl_2_5/8b/stage1"]) == 2
    assert "did you mean internvl_2_5/8b/stage_1 or" in capsys.readouterr().err


def test_one_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "internvl_2_5/38b/stage_1"]) == 0
    shown = capsys.readouterr().out
    for said in ("512 a step of 16,384 tokens", "internvl_2_5/26b/stage_1_5", "--stages.0.sources.0.meta"):
        assert said in shown
    assert "GB on each of 512 GPUs: " in shown
    assert main(["recipes", "internvl_2_5/8b/stage_2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recipe"]["stages"][0]["steps"] == 5500
    assert set(found["to_fill"]) == {"start.checkpoint", "stages.0.sources.0.meta"}
    assert found["memory"]["devices"] == 512 and found["memory"]["stages"]["stage_2"]["context"] > 0


def test_memory_is_counted_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """On one GPU, as no number of them was published."""
    assert main(["recipes", "2.5", "1B", "second_lora", "--memory", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    plan = plan_run(load_recipe(found["name"]), Machine(torch.device("meta"), 0), read_data=False)
    assert (found["memory"]["devices"], found["memory"]["kind"]) == (1, "GPU")
    assert found["memory"]["stages"] == {"second_lora": plan.stages[0].bytes}
    assert main(["recipes", "2.5", "1B", "second_lora", "--memory"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[2].split()[-1] == f"{plan.fullest.total / 1e9:,.0f}" and "by the plan" in shown


def test_what_is_not_filled_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before its folder is made."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "internvl_2_5/1b/stage_1"]) == 2
    shown = capsys.readouterr().err
    assert "stages.0.sources.0.meta is yours to fill: manifest of your data; published: pre-training" in shown
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["--copy", "vision", "{file}"], ["{file}", "--copy", "vision"]])
def test_a_copy(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    assert main(["recipes", *(word.format(file=file) for word in words)]) == 0
    assert f"tessera train {file}" in capsys.readouterr().out and "def recipe()" in file.read_text()
    assert main(["recipes", "--copy", "vision", str(file), "more"]) == 2
    assert "'more' is one word too many" in capsys.readouterr().err


@pytest.mark.parametrize("order", ["ROFT", "OFRT", "FTOR", "OTRF", "TFRO"])
def test_arguments_in_any_order(order: str) -> None:
    """Once the recipe had to stand first."""
    words = {
        "R": ["internvl_2_5"],
        "O": ["--out", "runs/text"],
        "F": ["--stages.0.steps", "3", "--json", "--seed=5"],
        "T": ["--stages.2.optimizer.betas", "0.5", "0.6"],
    }
    command = parse(["train", *(word for key in order for word in words[key])])
    assert isinstance(command, TrainCommand) and command.json
    assert (command.chosen, command.out) == ("internvl_2_5", Path("runs/text"))
    recipe = command.recipe
    assert (recipe.stages[0].steps, recipe.seed, recipe.stages[1].steps) == (3, 5, 90)
    assert recipe.stages[2].optimizer.betas == (0.5, 0.6)


def test_the_name_of_a_recipe_is_a_field_like_others() -> None:
    command = parse(["train", "--name", "text", "vision"])
    assert isinstance(command, TrainCommand)
    assert (command.chosen, command.recipe.name) == ("vision", "text")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no recipe: give a .py file or a name of `tessera recipes`"),
        (["--seed", "3"], "no recipe: give"),
        (["internvl_2_6"], "did you mean internvl_2_5"),
        (["internvl_2_5", "--stages.0.stepz", "3"], "--stages.0.steps"),
        (["internvl_2_5", "--seed", "three"], "three"),
        (["internvl_2_5", "vision"], "vision"),
        (["internvl_2_5", "--stages.0.name", "full"], "names ['full', 'vit_incremental', 'full'] repeat"),
        (["internvl_2_5", "--stages.0.steps", "0"], "train: stages.0.steps: 0: Input should be greater"),
    ],
)
def test_mistakes(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *words]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and not shown.out


def test_help_is_short_without_a_recipe_and_has_its_fields_with_one(
    tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--help"]) == 0
    assert "RECIPE" in capsys.readouterr().out
    assert main(["train", "--help", tiny]) == 0
    assert "--stages.1.packing.max-tokens" in capsys.readouterr().out


def test_a_run_and_its_figures(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", "--json", "--out", str(out), tiny, "--stages.1.steps", "1"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["model"] == str(out / "1_second") and Path(found["model"]).is_dir()
    assert found["stages"]["first"]["steps"] == 2 and found["stages"]["second"]["steps"] == 1
    assert "stage 0: first" in shown.err
    assert main(["train", tiny, "--out", str(out), "--stages.1.steps", "1"]) == 0
    assert "finished before, nothing is left to train" in capsys.readouterr().out


def test_a_pattern_with_brackets_is_shown_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table once read [qkvo] as mark-up and left it out."""
    (tmp_path / "tiny.py").write_text(RECIPE.replace('"^connector"', '"^[c]onnector"'))
    words = ["train", str(tmp_path / "tiny.py"), "--out", str(tmp_path / "run"), "--stages.0.steps", "1"]
    assert main([*words, "--stages.1.steps", "1"]) == 0
    assert "^[c]onnector" in capsys.readouterr().out
