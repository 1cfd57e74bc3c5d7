"""docs/data_check.md is true: its commands run, in order, and its figures are those of the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tessera.cli.main import main
from tessera.curation import duplicates, estimate, record_table
from tests.docs.pages import ROOT, commands

PAGE = ROOT / "docs" / "data_check.md"
COMMANDS = [words[1:] for words in commands(PAGE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("check")
        patch.chdir(place)
        yield place


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=[" ".join(words)[:50] for words in COMMANDS])
def test_command_runs(number: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(COMMANDS[number]) == 0, capsys.readouterr().err


def test_what_the_commands_write_is_there(folder: Path) -> None:
    for name in ("check.html", "preview.html", "packs.html", "clean/meta.json", "clean/rejects.jsonl"):
        assert (folder / name).is_file(), name


def test_the_figures_of_the_page() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    columns = record_table.COLUMNS.values()
    record = sum(np.dtype(kind).itemsize * int(np.prod(shape)) for kind, shape in columns)
    assert f"what is remembered of a record, {record} bytes," in text
    assert f"{duplicates.HASHES} x 16 bits" in text and f"{duplicates.SIMILAR:.0%}".replace("%", " %") in text
    assert f"{estimate.AT_A_TIME:,} samples at a time" in text
    assert f"{record_table.KEPT} faults of each reason" in text
