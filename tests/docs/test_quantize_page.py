"""docs/quantize.md is true: its commands and its Python run, and the output has the lines shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessera.checkpoints.save import save_checkpoint
from tessera.checkpoints.shipped import FOLDERS, assets_folder
from tessera.cli.main import main
from tests.docs.pages import ROOT, blocks, commands, workplace
from tests.engine import tiny

PAGE = ROOT / "docs" / "quantize.md"
QUICK = ["--count", "2", "--blocks", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with workplace(tmp_path_factory.mktemp("quantize")) as place:
        save_checkpoint(Path("small_source"), tiny.model(), tiny.family(), tiny.tokenizer())
        yield place


@pytest.mark.skipif(
    not (assets_folder() / FOLDERS["model"]).is_dir(), reason="this checkout carries no trained model"
)
def test_commands_run_and_look_as_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Path.cwd() == folder and os.listdir(folder)
    lines = []
    for _, *words in commands(PAGE):
        assert main([*words, *(QUICK if words[0] == "quantize" else [])]) == 0, words
        lines.append(capsys.readouterr().out.splitlines())
    shown = blocks(PAGE, "")[0].splitlines()
    assert [line[:11] for line in lines[0]] == [line[:11] for line in shown]
    assert lines[0][:2] == shown[:2], "sizes do not depend on the questions"
    assert lines[1], "an answer"


def test_python_runs(folder: Path) -> None:
    (code,) = blocks(PAGE, "python")
    exec(compile(code, str(PAGE), "exec"), {})
    assert (folder / "small_int8/tessera.json").is_file()
