"""docs/test_time.md is true: its commands and its Python run, and its tables name every option and field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessera.align.prompts import PROMPTS
from tessera.checkpoints.shipped import FOLDERS, assets_folder, shipped_folder
from tessera.cli.main import main
from tessera.serve.forms.chat import ChatBody
from tessera.serve.forms.selection import SelectionBody
from tests.docs.pages import ROOT, blocks, commands, workplace

PAGE = ROOT / "docs" / "test_time.md"
TEXT = PAGE.read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(
    not (assets_folder() / FOLDERS["model"]).is_dir(), reason="this checkout carries no trained model"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with workplace(tmp_path_factory.mktemp("test_time")) as place:
        Path("PRM").symlink_to(shipped_folder(), target_is_directory=True)
        question = {"question": "how many circles are there?", "image": "a.png"}
        Path("questions.jsonl").write_text(json.dumps(question) + "\n")
        yield place


def test_commands_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _, verb, *words in commands(PAGE):
        if verb == "serve":  # tests/serve starts one
            continue
        shorter = ["--count", "1"] if verb == "evaluate" else ["--new-tokens", "8"]
        assert main([verb, *words, *shorter]) == 0, words
        assert capsys.readouterr().out.strip()
    assert (folder / "report.html").is_file()
    (record,) = (json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines())
    assert all(
        f"`{name}`" in TEXT for name in set(record["selection"]) - {"rule", "numbers", "tokens", "candidates"}
    )


def test_python_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(PAGE, "python")
    exec(compile(code, str(PAGE), "exec"), {})
    assert " of 8 votes" in capsys.readouterr().out


def test_the_request_is_one_and_every_field_is_told() -> None:
    (body,) = blocks(PAGE, "json")
    read = ChatBody.read(json.loads(body))
    assert read.selection is not None
    assert read.selection == SelectionBody(prompt="en_v2"), "the defaults, but for the prompt"
    assert all(f"`{name}`" in TEXT for name in SelectionBody.model_fields)
    assert all(f"`{name}`" in TEXT for name in PROMPTS)
