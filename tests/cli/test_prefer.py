"""`tessera prefer`: what a new user does with the page alone, and what goes wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tessera.align.preferences.pairing_run import PairSettings
from tessera.cli.main import main
from tessera.scoring.reasoned.datasets import KEYWORDS
from tessera.scoring.reasoned.extraction import VERSIONS
from tessera.scoring.reasoned.judging import MODES
from tests.docs.pages import ROOT, blocks, commands

PAGE = ROOT / "docs" / "prefer.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "responses.jsonl").write_text("".join(blocks(PAGE, "jsonl")), encoding="utf-8")
    return tmp_path


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_page_from_top_to_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = [words[1:] for words in commands(PAGE) if words[2] in ("score", "pair")]
    assert [words[1] for words in own] == ["score", "pair"]
    for words in own:
        assert main(words) == 0
    out = capsys.readouterr().out
    assert re.search(r"positive\W+1\b", out) and re.search(r"pairs by format\W+1\b", out)
    named = re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert {file.name for file in (folder / "pairs").iterdir()} <= set(named)
    page = (folder / "pairs" / "pairs.html").read_text(encoding="utf-8")
    assert "<mark>Three</mark>" in page and "<mark>Two</mark>" in page and "<mark>4</mark>" in page


def test_the_page_names_everything() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = [*MODES, *VERSIONS, *(word for words, _ in KEYWORDS for word in words)]
    options = [f"--{name.replace('_', '-')}" for name in PairSettings.model_fields]
    options += ["--threshold", "--dataset", "--modes", "--prompt-version", "--as-published", "--json"]
    assert not [name for name in names if f"`{name}`" not in text and name not in options]
    assert not [option for option in options if option not in text]


def test_the_fault_looks_as_the_page_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "responses.jsonl").open("a") as file:
        file.write('{"question": "q", "response": "r", "prompt_version": "en"}\n')
    assert main(["prefer", "score", "responses.jsonl", "-o", "scored.jsonl"]) == 1
    out = capsys.readouterr().out
    (example,) = [line for block in blocks(PAGE, "") for line in block.splitlines()]
    assert example in out and "scored.refused.jsonl: 1 refused line with reasons" in out


def test_json_and_modes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prefer", "score", "responses.jsonl", "-o", "chart.jsonl", "--json", "--dataset", "chartqa"]
    assert main(words) == 0
    report = told(capsys)
    assert report["modes"] == ["relaxed"] and report["refused_file"] is None
    assert report["kinds"] == {"positive": 1, "negative": 1, "format": 1}
    assert main([*words[:4], "mc.jsonl", "--json", "--modes", "mc", "vqa"]) == 0
    assert told(capsys)["modes"] == ["mc", "vqa"]
    assert main(["prefer", "pair", "mc.jsonl", "-o", "pairs", "--json", "--page", "0", "--most", "1"]) == 0
    report = told(capsys)
    assert report["pairs"] == {"correctness": 1, "format": 1} and report["most"] == 1
    assert not any(file.endswith("pairs.html") for file in report["files"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score", "none.jsonl", "-o", "s.jsonl"], "none.jsonl: no such file"),
        (["score", "responses.jsonl", "-o", "responses.jsonl"], "holds the responses; name another file"),
        (
            ["score", "responses.jsonl", "-o", "s.jsonl", "--modes", "exact"],
            "mode 'exact' is unknown; give some of",
        ),
        (["score", "responses.jsonl", "-o", "s.jsonl", "--threshold", "2"], "threshold 2.0: give a number"),
        (["score", "responses.jsonl", "-o", "s.jsonl", "--prompt-version", "fr"], "prompt_version 'fr'"),
        (["pair", "none.jsonl", "-o", "pairs"], "none.jsonl: no such file"),
        (["pair", "responses.jsonl", "-o", "pairs", "--root", "gone"], "root gone is no folder"),
        (["pair", "responses.jsonl", "-o", "pairs", "--most", "0"], "most"),
        (["pair", "responses.jsonl", "-o", "responses.jsonl"], "is a file"),
    ],
)
def test_mistakes(words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "responses.jsonl").read_bytes()
    assert main(["prefer", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error
    assert (folder / "responses.jsonl").read_bytes() == before
    assert {file.name for file in folder.iterdir()} == {"responses.jsonl"}


def test_unscored_lines_and_no_pairs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prefer", "pair", "responses.jsonl", "-o", "pairs"]) == 1
    assert "score the file first: tessera prefer score" in capsys.readouterr().out
    main(["prefer", "score", "responses.jsonl", "-o", "scored.jsonl"])
    lines = (folder / "scored.jsonl").read_text().splitlines()
    (folder / "scored.jsonl").write_text(lines[1] + "\n")
    assert main(["prefer", "pair", "scored.jsonl", "-o", "pairs"]) == 1
    assert "no right response to pair it with" in capsys.readouterr().out
