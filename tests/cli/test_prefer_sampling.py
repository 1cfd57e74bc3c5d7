"""`tessera prefer sample` and `dropout`: on the shipped model, again, and with what can't be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tessera.cli.main import main


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    PIL.Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    asked = [
        {"image": "red.png", "question": "What is it? Please answer Yes or No.", "answer": "Yes", "id": 5},
        {"question": "What is 3 + 4?", "answer": "7"},
        {"image": "gone.png", "question": "And this?", "answer": "no"},
    ]
    file = tmp_path / "asked.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in asked))
    return file


def test_responses_then_pairs(questions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, pairs = questions.with_name("said.jsonl"), questions.with_name("pairs.jsonl")
    words = ["prefer", "sample", str(questions), "-o", str(out), "--responses", "3", "--new-tokens", "24"]
    assert main([*words, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["questions"], told["responses"]) == (3, 6)
    assert len(told["faults"]) == 3 and "line 3, response 0: " in told["faults"][0]
    assert "gone.png" in told["faults"][0]
    said = lines(out)
    assert [one["sample"] for one in said] == [0, 1, 2, 0, 1, 2]
    assert said[0]["id"] == 5 and said[0]["answer"] == "Yes" and said[0]["prompt_version"] == "en_v2"
    assert said[0]["question_orig"].endswith("Yes or No.") and "Yes or No." not in said[0]["question"]
    first = out.read_bytes()
    PIL.Image.new("RGB", (64, 64), "blue").save(questions.with_name("gone.png"))
    assert main(words) == 0
    assert "9 responses to 3 questions" in capsys.readouterr().out
    assert lines(out)[:6] == said and first in out.read_bytes()

    assert main(["prefer", "dropout", str(out), "-o", str(pairs), "--new-tokens", "8", "--json"]) in (0, 1)
    told = json.loads(capsys.readouterr().out)
    made = lines(pairs)
    assert len(made) == told["responses"] and len(made) + len(told["faults"]) == 9
    for pair in made:
        assert pair["chosen"] != pair["rejected"] and "response" not in pair and "prompt_version" in pair
        half = pair["chosen"].split(" ")[: max(1, len(pair["chosen"].split(" ")) // 2)]
        assert pair["rejected"].startswith(" ".join(half))


def test_what_can_not_be(questions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["-o", str(questions.with_name("x"))]
    for words, told in (
        (["sample", str(questions), *out, "--prompt", "en_v3"], "--prompt 'en_v3': choose one of en, zh"),
        (["sample", str(questions.with_name("none.jsonl")), *out], "no file"),
        (["sample", str(questions), *out, "--responses", "0"], "responses: 0"),
        (["dropout", str(questions), *out], "response: bad field (is missing); write what the model said"),
        (["dropout", str(questions), *out, "--share", "1"], "--share 1.0: give a number between 0 and 1"),
    ):
        assert main(["prefer", *words]) == 2
        assert told in capsys.readouterr().err
