"""Files for evaluation servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera.evaluation.benchmarks.benchmark import DataForm
from tessera.evaluation.benchmarks.catalogue import all_benchmarks
from tessera.evaluation.predictions.servers import LETTERS, SERVER_FORMS, ServerAnswer, server_text
from tessera.evaluation.rows.open import open_items
from tessera.evaluation.running.page import export_run

ONE = ServerAnswer("7", "<c1,CAM_FRONT,[500, 250]> é", "B", "what?", ("right",), "a.jpg")
NAMED = ServerAnswer("v/8", "yes", None)
FILES = [
    ("vqav2", [{"question_id": 7, "answer": ONE.prediction}, {"question_id": "v/8", "answer": "yes"}]),
    ("docvqa", [{"questionId": 7, "answer": ONE.prediction}, {"questionId": "v/8", "answer": "yes"}]),
    ("vizwiz", [{"image": "a.jpg", "answer": ONE.prediction}, {"image": "", "answer": "yes"}]),
    ("mmvet", {"v1_7": ONE.prediction, "v1_v/8": "yes"}),
    ("mmmu", {"7": "B", "v/8": "yes"}),
    ("mathvista", {"7": {"pid": "7", "response": ONE.prediction}, "v/8": {"pid": "v/8", "response": "yes"}}),
    (
        "drivelm",
        [
            {"id": 7, "question": "what?", "answer": "<c1,CAM_FRONT,800.0,450.0> é", "gt_answers": "right"},
            {"id": "v/8", "question": "", "answer": "yes", "gt_answers": ""},
        ],
    ),
]


@pytest.mark.parametrize(("form", "content"), FILES)
def test_a_servers_file(form: str, content: object) -> None:
    text = server_text(form, [ONE, NAMED])
    assert json.loads(text) == content and "é" in text or form in ("mmmu",)


def test_lines_of_code_and_unknown_forms() -> None:
    lines = server_text("humaneval", [NAMED, NAMED]).splitlines()
    assert [json.loads(line) for line in lines] == [{"task_id": "v/8", "completion": "yes"}] * 2
    with pytest.raises(ValueError, match="server form 'other' is unknown: give one of vqav2"):
        server_text("other", [])


def test_every_declared_form_is_known() -> None:
    declared = {one.export for one in all_benchmarks().values() if one.export}
    assert declared <= {*SERVER_FORMS, LETTERS}


def test_a_runs_file_for_its_server(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"id": "1", "question": "q", "answer": ""}\n')
    items = open_items(DataForm(file="mine.jsonl", index="id"), tmp_path, tmp_path / "store")
    line = {
        "index": "1",
        "question": "q",
        "prediction": "a dog",
        "extracted": "dog",
        "score": 0,
        "media": ["x/p.jpg"],
    }
    (tmp_path / "predictions.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "result.json").write_text(json.dumps({"benchmark": "mine", "model": "m", "figures": {}}))
    (file,) = export_run(tmp_path, items, "mine", ["server"], "vizwiz")
    assert file.name == "mine_server.json"
    assert json.loads(file.read_text()) == [{"image": "p.jpg", "answer": "a dog"}]
    with pytest.raises(ValueError, match="mine has no server that scores it"):
        export_run(tmp_path, items, "mine", ["server"])
