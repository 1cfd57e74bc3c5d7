"""`tessera convert` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.cli.main import main
from tests.checkpoints.test_convert import lora
from tests.engine import tiny


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "src", tiny.model(), tiny.family(), tiny.tokenizer(), "official")


def test_lines(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(source), str(tmp_path / "dst"), "--layout", "transformers"]) == 0
    shown = capsys.readouterr()
    assert "nano_model: official layout -> transformers layout\n" in shown.out
    assert f"{tmp_path / 'dst'}: 43.2 k parameters, 173 kB, 1 file, float32" in shown.out
    assert "65 read back, all equal" in shown.out and "equal to the bit on a random prompt" in shown.out
    assert shown.err == "", "no bar for what is over at once"
    assert load_checkpoint(tmp_path / "dst").layout == "transformers"


def test_json_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Merged and cast at once, without the logit check."""
    lora(tmp_path / "src")
    options = ["--layout", "tessera", "--merge-lora", "--dtype", "bfloat16", "--no-check", "--json"]
    assert main(["convert", str(tmp_path / "src"), str(tmp_path / "dst"), *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["layout"], found["dtype"], found["merged"]) == ("tessera", "bfloat16", True)
    assert found["agreement"] is None and found["exact"] is None and len(found["notes"]) == 1
    assert found["target"] == str(tmp_path / "dst")


def test_the_outcome_of_a_cast_is_said(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--layout", "tessera", "--dtype", "bfloat16"]
    assert main(["convert", str(source), str(tmp_path / "dst"), *options]) == 0
    assert "(10% is allowed after a cast)" in capsys.readouterr().out
    assert main(["convert", str(source), str(tmp_path / "other"), *options, "--no-check"]) == 0
    assert "logits     not checked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/none", "{folder}/dst", "--layout", "tessera"], "none: no such folder"),
        (["InternVL9-1B", "{folder}/dst", "--layout", "tessera"], "InternVL9-1B"),
        (["{src}", "{src}", "--layout", "tessera"], "not empty: nothing is overwritten"),
        (["{src}", "{folder}/dst", "--layout", "gguf"], "gguf"),
        (["{src}", "{folder}/dst", "--layout", "tessera", "--dtype", "int4"], "int4"),
        (["{src}", "{folder}/dst"], "give --layout"),
    ],
)
def test_mistakes(
    arguments: list[str], message: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [argument.format(folder=tmp_path, src=source) for argument in arguments]
    assert main(["convert", *filled]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_lora_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lora(tmp_path / "src")
    assert main(["convert", str(tmp_path / "src"), str(tmp_path / "dst"), "--layout", "tessera"]) == 2
    assert "--merge-lora" in capsys.readouterr().err


def test_new_tokens(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People ask how to add `<loc>`; the layout stays."""
    assert main(["convert", str(source), str(tmp_path / "dst"), "--add-tokens", "<loc>", "<seg>"]) == 0
    told = capsys.readouterr().out
    assert "added <loc> (300), <seg> (301)" in told and "equal to the bit" in told
    assert main(["convert", str(source), str(tmp_path / "other"), "--add-tokens", "<box>"]) == 2
    assert "'<box>' is a token already" in capsys.readouterr().err
