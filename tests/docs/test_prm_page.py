"""docs/prm.md is true: data, a judge, scores and their measure, one behind the other on the shipped model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera.checkpoints.shipped import FOLDERS, assets_folder
from tessera.cli.main import main
from tests.docs.pages import HUB_NAME, ROOT, blocks, commands, workplace

PAGE = ROOT / "docs" / "prm.md"
SHORTER = {
    "build": ["--responses", "2", "--continuations", "2", "--new-tokens", "8"],
    "tune": ["--stages.0.steps", "1", "--val", "0", "--ask", "0"],
}


@pytest.mark.skipif(
    not (assets_folder() / FOLDERS["model"]).is_dir(), reason="this checkout carries no trained model"
)
def test_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(assets_folder() / FOLDERS["model"])
    prefer = "".join(blocks(ROOT / "docs/prefer.md", "jsonl"))
    with workplace(tmp_path):
        Path("questions.jsonl").write_text('{"question": "How many?", "answer": "5", "image": "a.png"}\n')
        Path("responses.jsonl").write_text(prefer)
        Path("labelled.jsonl").write_text(blocks(PAGE, "jsonl")[0])
        for _, *words in commands(PAGE):
            verb = words[1] if words[0] == "prm" else words[0]
            words = [model if word == HUB_NAME else word for word in words] + SHORTER.get(verb, [])
            assert main(words) == 0, (words, capsys.readouterr().err)
        told = capsys.readouterr().out
        for code in blocks(PAGE, "python"):
            exec(compile(code, str(PAGE), "exec"), {})
        printed = capsys.readouterr().out
        rated = [json.loads(line) for line in Path("rated.jsonl").read_text().splitlines()]
        listed = {file.name for file in Path("steps").iterdir()}
    assert "2 of 4 solutions (share 0.5, seed 0)" in told and "macro F1" in told
    assert printed.count("Answer:") == 2
    assert len(rated) == 3 and all(0 < one["prm"]["score"] < 1 for one in rated)
    assert {"questions_steps.jsonl", "questions_prm.jsonl", "meta.json", "refused.jsonl"} <= listed
