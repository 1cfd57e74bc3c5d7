"""What a run left is read whole, or told to be wrong."""

import json
from pathlib import Path

import pytest

from tessera.evaluation.comparing.stored import StoredRun, find_runs, flat
from tests.evaluation.run_folders import line, write_run


def test_answers_become_what_was_graded(tmp_path: Path) -> None:
    row = line(
        7, 0.6, extracted=None, why="no letter", parts={"letter": "B"}, options={"A": "x"}, fields={"l": [1]}
    )
    run = StoredRun.read(write_run(tmp_path / "run", [row, line("8", 1)]))
    graded = run.graded[0]
    assert (graded.index, graded.prediction, graded.verdict.score) == ("7", "yes", 0.6)
    assert (graded.verdict.extracted, graded.verdict.why, graded.verdict.parts) == (
        None,
        "no letter",
        {"letter": "B"},
    )
    assert graded.reference.options == {"A": "x"} and graded.reference.fields == {"l": [1]}
    assert graded.reference.answers == ("yes",) and graded.reference.question == "Is there a 7?"
    assert run.answers[0].tiles == [[2, 1]] and run.result.name == "toy, official"


def test_unknown_fields_stay(tmp_path: Path) -> None:
    run = StoredRun.read(write_run(tmp_path / "run", [line(1, 1, seed=3)], version="2"))
    assert run.answers[0].model_extra == {"seed": 3} and run.result.model_extra == {"version": "2"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"index": "1", "prediction": "x"}', "line 1: score"),
        ('{"index": "1", "prediction": null, "score": 1}', "line 1: prediction"),
        ('{"index": "1", "prediction": "x", "score": "high"}', "score = 'high'"),
        ('{"index": "1", "prediction": "x", "score": 1}\n{"index": "2", "pred', "line 2: "),
        (
            '{"index": 1, "prediction": "", "score": 1}\n\n{"index": "1", "prediction": "", "score": 0}',
            "in line 1 already",
        ),
        ("\n", "holds no answers"),
        ("[1]", "line 1"),
    ],
)
def test_broken_lines(tmp_path: Path, content: str, said: str) -> None:
    folder = write_run(tmp_path / "run", [])
    (folder / "predictions.jsonl").write_text(content)
    with pytest.raises(ValueError, match=said):
        StoredRun.read(folder)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [line(1, 1)])
    (folder / "predictions.jsonl").write_bytes(b"\xff\xfe{")
    with pytest.raises(ValueError, match="no UTF-8"):
        StoredRun.read(folder)
    (folder / "predictions.jsonl").unlink()
    with pytest.raises(ValueError, match="has no predictions.jsonl: run"):
        StoredRun.read(folder)
    (folder / "result.json").write_text(json.dumps({"benchmark": 3.5, "figures": {"a": "x"}}))
    with pytest.raises(ValueError, match="figures.a = 'x'"):
        StoredRun.read(folder)
    (folder / "result.json").unlink()
    with pytest.raises(ValueError, match=r"has no result.json: run"):
        StoredRun.read(folder)


def test_runs_are_found_below(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a" / "x", [line(1, 1)], benchmark="pope")
    two = write_run(tmp_path / "a" / "y", [line(1, 1)], benchmark="mme")
    assert find_runs(tmp_path / "a") == {"pope": one, "mme": two} and find_runs(one) == {"pope": one}
    write_run(tmp_path / "a" / "z", [line(1, 1)], benchmark="mme")
    with pytest.raises(ValueError, match="3 runs of 2 benchmarks"):
        find_runs(tmp_path / "a")
    with pytest.raises(ValueError, match="nor has a folder in it"):
        find_runs(tmp_path / "nowhere")


def test_flat() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": {}}, "e": [1]}) == {"a.b.c": 1, "a.d": {}, "e": [1]}
