"""What a user gets wrong in a recipe, a start or a tracker: a line that names field, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessera.cli.main import main
from tessera.cli.training.track import open_tracker
from tessera.train.objective.learner import ChatLearner, Start
from tessera.train.update.rules import Rule
from tests.train import tiny

GOOD = "from tests.train import tiny\n\ndef recipe():\n    return tiny.recipe()\n"


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        ("def recipe(:\n", [], "line 1: invalid syntax"),
        ("import nothing_here\n", [], "No module named 'nothing_here'; install it, or correct the import"),
        (GOOD, ["--device-memory", "24GB"], "--device-memory is of --plan: add that, or leave it out"),
        (GOOD, ["--devices", "2"], "--devices is of --plan"),
    ],
)
def test_a_recipe_that_can_not_run(
    text: str, words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first two were pages of traceback; options of --plan were passed over without a word."""
    (tmp_path / "bad.py").write_text(text, encoding="utf-8")
    assert main(["train", str(tmp_path / "bad.py"), "--out", str(tmp_path / "run"), *words]) == 2
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said and not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["a/b", "..", "", "-x"])
def test_a_stage_is_named_as_a_folder(name: str) -> None:
    """`a/b` made a folder in a folder, where nobody looks for the stages of a run."""
    with pytest.raises(ValueError, match=r"name\n.*a folder of the run gets this name: take letters"):
        type(tiny.recipe().stages[0]).model_validate({**dict(tiny.recipe().stages[0]), "name": name})


def test_a_pattern_is_a_regular_expression() -> None:
    with pytest.raises(ValueError, match=r"no regular expression \(missing \)"):
        Rule(pattern="(")


def test_a_whole_model_keeps_its_template() -> None:
    """Another template was asked for, and passed over without a word."""
    with pytest.raises(ValueError, match=r"start.template = 'phi3-chat': a whole model keeps its own"):
        ChatLearner.start(Start(checkpoint="shipped", template="phi3-chat"), 0)
    parts = Start(checkpoint="shipped", vision="shipped", select_layer=3)
    assert parts.unused == ["vision", "select_layer"] and not Start(vision="shipped").unused


@pytest.mark.parametrize(
    ("option", "told"), [("--val", "--val 2.0: give a share"), ("--precision", "--precision")]
)
def test_options_of_tune(option: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--val 2` spoke of a file that nobody had written, `--precision 2` in nine lines of pydantic's."""
    assert main(["tune", "shipped", "data.json", option, "2", "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert told in said and "pydantic" not in said and not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [":x", "clouds"])
def test_trackers_that_have_no_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"choose tensorboard, trackio, wandb, or give module:function"):
        open_tracker(name, tmp_path, {})


def test_a_tracker_that_tracks_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gave None; return a function"):
        open_tracker(f"{__name__}:nothing", tmp_path, {})


def nothing(folder: Path, settings: object) -> None:
    """A maker that forgets to return."""
