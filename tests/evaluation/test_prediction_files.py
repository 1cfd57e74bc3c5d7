"""Prediction files of VLMEvalKit and lmms-eval: what is written comes back, and theirs are read."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tessera.evaluation.benchmarks.benchmark import DataForm
from tessera.evaluation.predictions import lmms_eval, vlmevalkit
from tessera.evaluation.predictions.lmms_eval import AnswerSample
from tessera.evaluation.rows.open import Items, open_items

SAID = ["A", "so it is 5", "中文\nzwei", '"q"\t', "=SUM(A1)", "007", "None", "", "3.0", " NA ", "a'b"]


def kit_items(folder: Path) -> Items:
    rows = "".join(f'{n}\t"was\tist?"\t{n % 3}\tNone\t1.50\t\n' for n in range(len(SAID)))
    (folder / "rows.tsv").write_text("index\tquestion\tA\tB\tC\tcategory\n" + rows)
    return open_items(DataForm(file="rows.tsv", index="index", options="A-Z"), folder, folder / "store")


@pytest.mark.parametrize("kind", vlmevalkit.KINDS)
def test_predictions_come_back_as_they_were(tmp_path: Path, kind: str) -> None:
    if kind == "xlsx":
        pytest.importorskip("openpyxl")
    said = {str(n): text for n, text in enumerate(SAID)}
    file = vlmevalkit.kit_file(tmp_path / "out", "org/model", "MMBench_DEV_EN", kind)
    assert file.name == f"org_model_MMBench_DEV_EN.{kind}"
    vlmevalkit.write_kit_table(file, vlmevalkit.kit_rows(kit_items(tmp_path), said))
    assert vlmevalkit.read_kit_table(file) == said


def test_the_table_is_written_as_pandas_writes_it(tmp_path: Path) -> None:
    """All in quotes, gaps empty, columns by pandas' types: byte for byte what that kit writes (e8e78f05)."""
    items = kit_items(tmp_path)
    file = tmp_path / "out.tsv"
    vlmevalkit.write_kit_table(file, vlmevalkit.kit_rows(items, dict.fromkeys(map(str, range(11)), 'x"y')))
    first, second = file.read_text().splitlines()[:2]
    assert first == '"index"\t"question"\t"A"\t"B"\t"C"\t"category"\t"prediction"'
    assert second == '"0"\t"was\tist?"\t"0"\t""\t"1.5"\t""\t"x""y"'
    vlmevalkit.write_kit_table(tmp_path / "out.json", vlmevalkit.kit_rows(items, {}, vlmevalkit.UNANSWERED))
    text = (tmp_path / "out.json").read_text()
    assert text.startswith(
        '[\n    {\n        "index": 0,\n        "question": "was\\tist?",\n        "A": 0,\n'
    )
    assert text.count('"B": NaN') == text.count("Failed to obtain answer") == 11


def test_rows_of_other_files_get_the_kits_columns(tmp_path: Path) -> None:
    row = {"id": 9, "text": "?", "choices": ["x", "y"], "label": 1, "split": "val"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    form = DataForm(file="rows.jsonl", index="id", question="text", options="choices", answer="label")
    items = open_items(form.model_copy(update={"answer_is": "index"}), tmp_path, tmp_path)
    (written,) = vlmevalkit.kit_rows(items, {"9": "B"})
    head = {"index": "9", "question": "?", "A": "x", "B": "y", "answer": "B"}
    assert written == head | {k: v for k, v in row.items() if k != "question"} | {"prediction": "B"}
    assert list(written)[:5] == list(head)


def test_names_of_pictures_as_that_kit_writes_them(tmp_path: Path) -> None:
    rows = [{"index": 1, "image_path": "['a.jpg']", "prediction": "x"}]
    rows.append({"index": 2, "image_path": '["a.jpg", "b.jpg"]', "prediction": "y"})
    vlmevalkit.write_kit_table(tmp_path / "out.tsv", rows)
    assert (tmp_path / "out.tsv").read_text().splitlines()[1:] == [
        '"1"\t"a.jpg"\t"x"',
        '"2"\t"[\'a.jpg\', \'b.jpg\']"\t"y"',
    ]


def test_excels_limits_are_told(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    file = tmp_path / "out.xlsx"
    long = {"index": 7, "prediction": "x" * 32_768}
    with pytest.raises(
        ValueError, match=r"index 7: column 'prediction': 32768 characters, .* write .tsv or .json"
    ):
        vlmevalkit.write_kit_table(file, [long])
    with pytest.raises(ValueError, match=r"index 7: column 'prediction': the character '\\x07'"):
        vlmevalkit.write_kit_table(file, [{"index": 7, "prediction": "a\x07"}])
    assert not file.exists()
    vlmevalkit.write_kit_table(file, [long | {"prediction": "x" * 32_767}])
    assert len(vlmevalkit.read_kit_table(file)["7"]) == 32_767


TABLES: list[tuple[str, bytes, str]] = [
    ("a.csv", b"", r"predictions are read from tsv, json, xlsx"),
    ("a.pkl", b"", r"predictions are read from"),
    ("a.tsv", b"index\tanswer\n1\tx\n", r"row 1: no column 'prediction' \(it has index, answer\)"),
    ("a.tsv", b"index\tprediction\n1\tx\n1\ty\n", r"row 2: index '1' stands twice"),
    ("a.tsv", b"index\tprediction\n", r"no rows"),
    ("a.json", b"{", r"no JSON in UTF-8"),
    ("a.json", b'{"1": "x"}', r"no list of rows"),
    ("a.json", b"[" * 99_999, r"no JSON in UTF-8"),
]


@pytest.mark.parametrize(("name", "data", "message"), TABLES)
def test_faults_of_prediction_files(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        vlmevalkit.read_kit_table(tmp_path / name)


def test_both_forms_of_json_are_read(tmp_path: Path) -> None:
    rows = [{"index": 1.0, "prediction": "x"}, {"index": 2, "prediction": float("nan")}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.json").write_text(
        json.dumps({"columns": ["index", "prediction"], "data": [[1, "x"], [2, None]]})
    )
    assert [vlmevalkit.read_kit_table(tmp_path / name) for name in ("a.json", "b.json")] == [
        {"1": "x", "2": ""}
    ] * 2


def test_a_question_without_a_prediction_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="question '0' has no prediction; let the run end"):
        vlmevalkit.write_kit_table(tmp_path / "a.tsv", vlmevalkit.kit_rows(kit_items(tmp_path), {}))
    assert not (tmp_path / "a.tsv").exists()
    with pytest.raises(ValueError, match="prediction files end in tsv, json, xlsx"):
        vlmevalkit.write_kit_table(tmp_path / "a.csv", [])
    with pytest.raises(ValueError, match="of kind 'csv'"):
        vlmevalkit.kit_file(tmp_path, "m", "d", "csv")


MOMENT = datetime(2026, 11, 30, 7, 0, 5)


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    samples, results = lmms_eval.sample_files(tmp_path, "hub/org/m:1", "chartqa", MOMENT)
    assert samples.relative_to(tmp_path).as_posix() == "org__m__1/20261130_070005_samples_chartqa.jsonl"
    assert results.name == "20261130_070005_results.json"
    given = [AnswerSample(n, text, "A", "p?", (), {"score": 1.0}) for n, text in enumerate(SAID)]
    given.append(AnswerSample(99, "B", "B", "p?", ("</think> B",), {"acc": {"hit": 1}}))
    lmms_eval.write_samples(samples, given)
    assert list(lmms_eval.read_samples(samples)) == given
    assert ["resps" in json.loads(line) for line in samples.read_text().splitlines()] == [False] * 11 + [True]
    lmms_eval.write_results(results, "chartqa", {"overall": 81.5}, 12, MOMENT, "hub/org/m:1", {"preset": "x"})
    found = json.loads(results.read_text())
    assert found["results"] == {"chartqa": {"alias": "chartqa", "overall,none": 81.5}}
    assert found["n-samples"]["chartqa"]["effective"] == 12 and found["config"] == {"preset": "x"}


LINES: list[tuple[dict[str, Any], str]] = [
    ({"filtered_resps": "x", "target": "t", "input": "p"}, "x"),
    ({"filtered_resps": ["x"], "resps": [["<think>..</think>x"]], "arguments": ["p"], "doc": {}}, "x"),
    ({"filtered_resps": [["x"]], "token_counts": [{"output_tokens": 3}]}, "x"),
    ({"filtered_resps": 5}, "5"),
    ({"filtered_resps": ""}, ""),
]


@pytest.mark.parametrize(("line", "prediction"), LINES)
def test_older_and_newer_lines(tmp_path: Path, line: dict[str, Any], prediction: str) -> None:
    (tmp_path / "x_samples_y.jsonl").write_text(json.dumps({"doc_id": 0, **line}))
    (sample,) = lmms_eval.read_samples(tmp_path / "x_samples_y.jsonl")
    assert (sample.place, sample.prediction) == (0, prediction)


SAMPLES: list[tuple[list[Any], str]] = [
    ([{"doc_id": 0}], r":1: no doc_id and filtered_resps \(it has doc_id\)"),
    ([[1]], r":1: no doc_id and filtered_resps"),
    ([{"doc_id": "a", "filtered_resps": "x"}], r"doc_id 'a' is no place"),
    (
        [{"doc_id": 0, "filtered_resps": "x"}, {"doc_id": 0, "filtered_resps": "y"}],
        r":2: doc_id 0 stands twice",
    ),
    ([{"doc_id": 0, "filtered_resps": ["x", "y"]}], r"2 answers; likelihoods and repeats are not read"),
    ([{"doc_id": 0, "filtered_resps": []}], r"nothing; likelihoods"),
    ([{"doc_id": 0, "filtered_resps": [[-1.5, True], [-2, False]]}], r"2 answers"),
]


@pytest.mark.parametrize(("lines", "message"), SAMPLES)
def test_faults_of_samples(tmp_path: Path, lines: list[Any], message: str) -> None:
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match=message):
        list(lmms_eval.read_samples(tmp_path / "s.jsonl"))


def test_places_become_indices(tmp_path: Path) -> None:
    items = kit_items(tmp_path)
    assert lmms_eval.by_index([AnswerSample(3, "x")], items) == {"3": "x"}
    with pytest.raises(ValueError, match="doc_id 11 of 11 questions; open the benchmark in the form"):
        lmms_eval.by_index([AnswerSample(11, "x")], items)
