"""docs/convert.md is true: its commands and its Python run, on a small checkpoint of the name it uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessera.checkpoints.conversion.agreement import TOLERANCE
from tessera.checkpoints.description import LAYOUTS
from tessera.checkpoints.save import save_checkpoint
from tessera.cli.main import main
from tests.checkpoints.test_adapter import adapter, pair
from tests.checkpoints.test_convert import lora
from tests.checkpoints.test_faults import edit
from tests.docs.pages import ROOT, blocks, commands
from tests.engine import tiny

PAGE = ROOT / "docs" / "convert.md"
TESSERA = [words[1:] for words in commands(PAGE)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Checkpoints named as on the page: one with the authors' code, one with LoRA matrices; an adapter."""
    folder = tmp_path_factory.mktemp("convert")
    save_checkpoint(folder / "InternVL3-1B", tiny.model(), tiny.family(), tiny.tokenizer(), "official")
    save_checkpoint(folder / "mine", tiny.model(), tiny.family(), tiny.tokenizer())
    lora(folder / "tuned_lora")
    adapter(folder / "my_adapter", pair("language_model.model.layers.0.self_attn.o_proj", 32, 32))
    table = dict.fromkeys(("AutoConfig", "AutoModel"), "modeling.Class")
    edit(folder / "InternVL3-1B" / "config.json", lambda config: config.update(auto_map=table))
    (folder / "InternVL3-1B" / "modeling.py").write_text("class Class: ...\n")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.mark.parametrize("words", TESSERA, ids=[" ".join(words) for words in TESSERA])
def test_commands_run(words: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.strip()


def test_the_output_looks_as_shown(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Same lines, same words in front; figures and the name are those of another model."""
    shown = blocks(PAGE, "")[0].splitlines()
    assert main(["convert", "InternVL3-1B", "shown", "--layout", "transformers"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(shown)
    assert [line.split()[0] for line in printed][1:] == [line.split()[0] for line in shown][1:]
    assert printed[3] == shown[3] and printed[0].endswith("official layout -> transformers layout")


def test_python_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(PAGE, "python"):
        exec(compile(block, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == "True ()\n"


def test_layouts_and_tolerances_are_those_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{layout}` |" in text for layout in LAYOUTS)
    shares = sorted(TOLERANCE.values())
    assert shares == [1e-4, 0.02, 0.1] and "0.01 % between" in text and "2 % for float16" in text
