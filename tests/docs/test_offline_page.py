"""docs/offline.md is true: its commands and its block run on the shipped model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tessera
from tessera.checkpoints.shipped import FOLDERS, assets_folder
from tessera.cli.main import main
from tests.docs.pages import ROOT, blocks, stand_in, workplace

PAGE = ROOT / "docs" / "offline.md"


@pytest.mark.skipif(
    not (assets_folder() / FOLDERS["model"]).is_dir(), reason="this checkout carries no trained model"
)
def test_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = [block for block in blocks(PAGE, "json") if "method" in block]
    commands = [one.partition("#")[0].split()[1:] for one in blocks(PAGE, "bash")[0].splitlines()]
    monkeypatch.setattr(tessera, "load", stand_in(assets_folder() / FOLDERS["model"]))
    with workplace(tmp_path):
        Path("requests.jsonl").write_text(line)
        (code,) = blocks(PAGE, "python")
        exec(compile(code, str(PAGE), "exec"), {})
        monkeypatch.undo()
        assert main(commands[0]) == 0
        told = json.loads(Path("answers.jsonl").read_text())
    answer = told["response"]["body"]["choices"][0]["message"]["content"]
    assert told["custom_id"] == "a" and isinstance(answer, str) and answer
    assert "1 answered, 0 failed" in capsys.readouterr().out
    assert len(commands) == 2 and commands[1][:2] == commands[0][:2]
