"""`tessera quantize` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tessera
from tessera.checkpoints.save import save_checkpoint
from tessera.cli.main import main
from tessera.records.export import write_dataset
from tests.engine import tiny

QUICK = ["--count", "3", "--max-new-tokens", "4", "--blocks", "1"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "src", tiny.model(), tiny.family(), tiny.tokenizer(), "official")


def test_it_writes_a_model_and_says_what_that_does(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "dst"
    assert main(["quantize", str(source), str(target), "--bits", "4", "--keep", "^vision", *QUICK]) == 0
    shown = capsys.readouterr().out
    assert f"written    {target}: 14 linear layers in int4, 8 kept in bfloat16\n" in shown
    assert "answers    " in shown and " of 3 changed" in shown and "nats" in shown and "worst      " in shown
    report = json.loads((target / "accuracy.json").read_text())
    assert (report["kind"], report["questions"], report["block_questions"]) == ("int4", 3, 1)
    assert len(report["kept"]) == 8 and len(report["linears"]) == 14
    assert "Before and after" in (target / "accuracy.html").read_text()
    assert "int4 and" in tessera.load(target).summary


def test_a_limit_decides_the_exit_code(source: Path, tmp_path: Path) -> None:
    """Random weights in 4 bits say something else; the checkpoint stays for a look."""
    arguments = ["--bits", "4", "--count", "3", "--max-new-tokens", "12", "--blocks", "0"]
    assert main(["quantize", str(source), str(tmp_path / "a"), *arguments, "--most-changed", "0"]) == 1
    assert main(["quantize", str(source), str(tmp_path / "b"), *arguments, "--most-changed", "1"]) == 0
    changed = json.loads((tmp_path / "a/accuracy.json").read_text())["share_changed"]
    assert changed > 0
    limit = ["--most-changed", str(changed)]
    assert main(["quantize", str(source), str(tmp_path / "c"), *arguments, *limit]) == 0


def test_json_without_a_report(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", str(source), str(tmp_path / "dst"), "--count", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "int8" and told["accuracy"] is None and told["bytes_after"] < told["bytes_before"]
    assert not (tmp_path / "dst/accuracy.json").exists()


def test_questions_of_ones_own(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """First questions of records, pairs among them; a faulty one is told and passed over."""
    write_dataset(data := tmp_path / "data", {"shapes": 1.0}, 3, 0, (64, 64), 1, 2)
    lines = (data / "shapes.jsonl").read_text().splitlines()
    broken = json.loads(lines[1]) | {"image": "shapes/gone.png"}
    picture = json.loads(lines[2])["image"]
    pair = {"image": picture, "question": "<image>\nWhat is it?", "chosen": "a cat", "rejected": "a dog"}
    (data / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    meta = json.loads((data / "meta.json").read_text())
    (data / "meta.json").write_text(json.dumps(meta | {"pairs": {"root": ".", "annotation": "pairs.jsonl"}}))
    (data / "shapes.jsonl").write_text("\n".join([lines[0], json.dumps(broken)]) + "\n")
    arguments = ["quantize", str(source), str(tmp_path / "dst"), *QUICK, "--data", str(data / "meta.json")]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["accuracy"]["questions"] == 2 and told["accuracy"]["right"] is None
    assert "1 record passed over" in told["notes"][0] and "shapes.jsonl:2: picture" in told["notes"][0]
    (data / "shapes.jsonl").write_text(json.dumps(broken) + "\n")
    (data / "meta.json").write_text(json.dumps(meta))
    assert main([*arguments[:2], str(tmp_path / "other"), *arguments[3:]]) == 2
    assert "no record has a question to ask" in capsys.readouterr().err
    assert not (tmp_path / "other").exists(), "known before anything is written"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/none", "{folder}/dst"], "none: no such folder"),
        (["{src}", "{src}"], "not empty: nothing is overwritten"),
        (["{src}", "{folder}/dst", "--bits", "3"], "bits"),
        (["{src}", "{folder}/dst", "--keep", "visual"], "keep = 'visual' fits no linear layer"),
        (["{src}", "{folder}/dst", "--count", "-1"], "--count -1: give at least 0"),
        (["{src}", "{folder}/dst", "--most-changed", "5"], "--most-changed 5.0: give a share from 0 to 1"),
        (["{src}", "{folder}/dst", "--data", "{folder}/none.json"], "none.json"),
        (["{src}", "{folder}/dst", "--adapter", "{folder}/none"], "adapter"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(folder=tmp_path, src=source) for word in arguments]
    assert main(["quantize", *words]) == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown
    assert not (tmp_path / "dst").exists()
