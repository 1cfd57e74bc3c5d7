"""Files of responses to scored files and folders of pairs: nothing lost, small memory, bad input named."""

from __future__ import annotations

import json
import random
import re
import tracemalloc
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tessera.align.preferences import pairing_run, scoring_run
from tessera.align.preferences.lines import open_lines
from tessera.align.preferences.pairing_run import PairSettings, pair_file
from tessera.align.preferences.response import read_response, sampled
from tessera.align.preferences.scoring_run import refused_beside, score_file
from tessera.align.prompts import write_prompt
from tessera.records.faults import DataError
from tessera.records.readers.json_file import JsonFile
from tessera.scoring.reasoned.judging import AnswerJudge
from tests.pages.markup import check_well_formed

JUDGE = AnswerJudge(("vqa", "mc", "math", "expression"))
ANSWERS = ("5", "6", "7", "5.0", None, "five", "15")
"""What the responses of a question say; None announces no answer."""


def said(number: int, answer: str | None) -> str:
    end = "I give up." if answer is None else f"Final answer: {answer}"
    return f"Way {number}.\nTwo and three.\n{end}"


def records(questions: int) -> list[dict[str, Any]]:
    found = []
    for number in range(questions):
        item = {"image": f"{number % 3}.png", "question": f"How many in {number}?", "answer": 5, "id": number}
        prompt = write_prompt(str(item["question"]), "en", 1)
        found += [sampled(item, prompt, said(n, answer), "en") for n, answer in enumerate(ANSWERS)]
    return found


def write(file: Path, rows: list[Any]) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_from_responses_to_pairs(tmp_path: Path) -> None:
    responses = write(tmp_path / "sums.jsonl", records(4))
    report = score_file(responses, tmp_path / "scored.jsonl", JUDGE)
    assert report.kinds == {"positive": 12, "negative": 12, "format": 4} and not report.refused
    assert report.lines == 28 and report.formats == {"no final answer announced": 4}
    scored = rows_of(tmp_path / "scored.jsonl")
    assert [{**row, "verdict": None} for row in scored] == [{**row, "verdict": None} for row in records(4)]
    assert [row["verdict"]["mode"] for row in scored[:4]] == ["equal", "vqa", "vqa", "math"]
    assert scored[0]["verdict"]["modes"] == ["vqa", "mc", "math", "expression"]

    pairs = pair_file(tmp_path / "scored.jsonl", tmp_path / "pairs", PairSettings())
    # 5 and 5.0 and five; against 6, 7, 15; but 5 is part of 15.
    assert pairs.pairs == {"correctness": 4 * 8, "format": 4 * 3} and (pairs.questions, pairs.paired) == (
        4,
        4,
    )
    (first, *_) = rows_of(tmp_path / "pairs" / "scored_pairs_vqa_correctness_rules.jsonl")
    assert first["chosen"] == said(0, "5") and first["rejected"] == said(1, "6") and first["answer_gt"] == "5"
    assert first["image"] == "0.png" and first["question"].startswith("<image>\nYour task")
    assert first["why"]["chosen"] == "equal to the answer" and first["lines"] == {"chosen": 1, "rejected": 2}
    left = rows_of(tmp_path / "pairs" / "left_out.jsonl")
    assert left[0] == {"lines": [1, 7], "why": "the right answer is part of the wrong one"}
    check_well_formed((tmp_path / "pairs" / "pairs.html").read_text(encoding="utf-8"))
    meta = json.loads((tmp_path / "pairs" / "meta.json").read_text())
    assert {entry["annotation"]: entry["length"] for entry in meta.values()} == {
        "scored_pairs_vqa_correctness_rules.jsonl": 32,
        "scored_pairs_vqa_format_rules.jsonl": 12,
    }


def test_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    rows = records(6)
    score_file(write(tmp_path / "a.jsonl", rows), tmp_path / "in_order" / "s.jsonl", JUDGE)
    random.Random(1).shuffle(rows)
    score_file(write(tmp_path / "b.jsonl", rows), tmp_path / "mixed" / "s.jsonl", JUDGE)
    texts = []
    for name in ("in_order", "mixed"):
        pair_file(tmp_path / name / "s.jsonl", tmp_path / name, PairSettings(page=0))
        found = rows_of(tmp_path / name / "s_pairs_vqa_correctness_rules.jsonl")
        texts.append({(pair["question"], pair["chosen"], pair["rejected"]) for pair in found})
    assert texts[0] == texts[1] and len(texts[0]) == 6 * 8


def test_limits_of_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score_file(write(tmp_path / "a.jsonl", records(3)), tmp_path / "s.jsonl", JUDGE)
    few = pair_file(tmp_path / "s.jsonl", tmp_path / "few", PairSettings(most=5))
    assert few.pairs == {"correctness": 15, "format": 9} and few.left_out[pairing_run.MISSING] == 0
    again = pair_file(tmp_path / "s.jsonl", tmp_path / "again", PairSettings(most=5))
    name = "s_pairs_vqa_correctness_rules.jsonl"
    assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert again.pairs == few.pairs
    pair_file(tmp_path / "s.jsonl", tmp_path / "other", PairSettings(most=5, seed=1))
    assert (tmp_path / "few" / name).read_bytes() != (tmp_path / "other" / name).read_bytes()
    monkeypatch.setattr(pairing_run, "MANY_LINES", 20)
    assert pair_file(tmp_path / "s.jsonl", tmp_path / "many", PairSettings()).pairs["correctness"] == 9


GOOD = records(1)[0]
BARE = {key: value for key, value in GOOD.items() if key != "prompt_version"}
BAD = [
    ("{", "line: broken JSON (Expecting property name", "write one complete JSON object"),
    ("[1]", "line: bad field (is [1])", "write one JSON object a line"),
    ({**GOOD, "answer": ["5"]}, "answer: bad field (is ['5'])", "write the right answer as one text or"),
    (
        '{"question": "q", "answer": NaN, "prompt_version": "en"}',
        "answer: bad field (is nan)",
        "as one text or",
    ),
    ({**GOOD, "answer": True}, "answer: bad field (is True)", "as one text or number"),
    ({**GOOD, "answer": " "}, "answer: bad field (is ' ')", "as one text or number"),
    ({**GOOD, "question": ""}, "question: bad field (is '')", "write the prompt"),
    ({**GOOD, "response": None}, "response: bad field (is None)", "write what the model said"),
    ({**GOOD, "image": 3}, "image: bad field (is 3)", "write a path, a list of paths, or leave it out"),
    ({**GOOD, "image": ["a.png", ""]}, "image: bad field", "write a path"),
    ({**GOOD, "prompt_version": "fr"}, "prompt_version: bad field (is 'fr')", "give one of en, zh, en_v2"),
    (BARE, "prompt_version: bad field (is missing)", "--prompt-version"),
]


@pytest.mark.parametrize(("row", "what", "remedy"), BAD)
def test_bad_lines_are_named_and_kept(row: object, what: str, remedy: str, tmp_path: Path) -> None:
    responses = write(tmp_path / "r.jsonl", [GOOD, "", row, GOOD])
    report = score_file(responses, tmp_path / "s.jsonl", JUDGE)
    assert sum(report.refused.values()) == 1 and report.lines == 3 and report.kinds["positive"] == 2
    (refused,) = rows_of(refused_beside(tmp_path / "s.jsonl"))
    assert refused["line"] == 3 and refused["why"] == report.first[0]
    assert f"r.jsonl:3: {what}" in refused["why"] and remedy in refused["why"].partition("; ")[2]
    assert refused["text"] == (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False))
    score_file(write(tmp_path / "r.jsonl", [GOOD]), tmp_path / "s.jsonl", JUDGE)
    assert not refused_beside(tmp_path / "s.jsonl").exists()


def test_a_version_for_lines_without_one() -> None:
    assert read_response(BARE, Path("r"), 1, "zh").version == "zh"
    with pytest.raises(DataError, match=re.escape("r:1: prompt_version: bad field (is missing)")):
        read_response(BARE, Path("r"), 1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"verdict": None}, "verdict: bad field (is missing); score the file first: tessera prefer score"),
        (
            {"verdict": {"kind": "good"}},
            "verdict.kind: bad field (is 'good'); give one of positive, negative",
        ),
        ({"verdict": {"kind": "positive"}}, "answer: bad field (is missing); a text is needed in verdict"),
    ],
)
def test_bad_scored_lines(change: dict[str, Any], what: str, tmp_path: Path) -> None:
    score_file(write(tmp_path / "r.jsonl", records(1)), tmp_path / "s.jsonl", JUDGE)
    rows = rows_of(tmp_path / "s.jsonl")
    write(tmp_path / "s.jsonl", [*rows, {**rows[0], **change}])
    report = pair_file(tmp_path / "s.jsonl", tmp_path / "out", PairSettings())
    assert what in report.first[0] and report.pairs["correctness"] == 8
    assert len(rows_of(tmp_path / "out" / "refused.jsonl")) == 1


def test_pictures_are_looked_for_where_a_root_is_given(tmp_path: Path) -> None:
    """Question 1 has no picture on the disk; question 2 would leave the root."""
    rows = records(3)
    for row in rows:
        row["image"] = row["image"].replace("2.png", "../0.png")
    PIL.Image.new("RGB", (8, 6), "red").save(tmp_path / "0.png")
    (tmp_path / "root").mkdir()
    PIL.Image.new("RGB", (8, 6), "red").save(tmp_path / "root" / "0.png")
    score_file(write(tmp_path / "r.jsonl", rows), tmp_path / "s.jsonl", JUDGE)
    report = pair_file(tmp_path / "s.jsonl", tmp_path / "out", PairSettings(root=tmp_path / "root"))
    assert (report.questions, report.paired, report.left_out["a picture is missing"]) == (3, 1, 2)
    left = [row for row in rows_of(tmp_path / "out" / "left_out.jsonl") if "picture" in row["why"]]
    assert [row["why"] for row in left] == ["a picture is missing: 1.png", "a picture is missing: ../0.png"]
    assert len(left[0]["lines"]) == len(ANSWERS)
    assert 'src="data:image/' in (tmp_path / "out" / "pairs.html").read_text(encoding="utf-8")


def test_answers_fixed_on_demand(tmp_path: Path) -> None:
    score_file(write(tmp_path / "r.jsonl", records(1)), tmp_path / "s.jsonl", JUDGE)
    pair_file(tmp_path / "s.jsonl", tmp_path / "out", PairSettings(answer_fix=True))
    found = rows_of(tmp_path / "out" / "s_pairs_vqa_correctness_rules.jsonl")
    assert {pair["chosen"] for pair in found} == {said(0, "5"), said(3, "5"), said(5, "five")}


def test_what_cannot_be_read_or_written_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    responses = write(tmp_path / "r.jsonl", records(1))
    with pytest.raises(ValueError, match="none.jsonl: no such file; name a JSONL file"):
        score_file(tmp_path / "none.jsonl", tmp_path / "s.jsonl", JUDGE)
    with pytest.raises(ValueError, match="empty.jsonl"):
        score_file(tmp_path / "empty.jsonl", tmp_path / "s.jsonl", JUDGE)
    with pytest.raises(ValueError, match="holds the responses; name another file"):
        score_file(responses, tmp_path / "." / "r.jsonl", JUDGE)
    with pytest.raises(ValueError, match="no folder; name the one that image paths start from"):
        pair_file(responses, tmp_path / "out", PairSettings(root=tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="would be overwritten; name another folder"):
        pair_file(write(tmp_path / "refused.jsonl", records(1)), tmp_path, PairSettings())
    assert rows_of(responses) == records(1)


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scoring holds a line at a time; pairing eight bytes a line and one question."""

    ready: dict[
        Path, JsonFile
    ] = {}  # opened before: a fingerprint and the bounds of lines are taken by the MiB
    for module in (scoring_run, pairing_run):
        monkeypatch.setattr(module, "open_lines", ready.__getitem__)

    def peak(questions: int) -> tuple[int, int]:
        source, scored = tmp_path / f"{questions}.jsonl", tmp_path / f"s{questions}.jsonl"
        write(source, records(questions))
        peaks = []
        for file, work in (
            (source, lambda: score_file(source, scored, JUDGE)),
            (scored, lambda: pair_file(scored, tmp_path / f"out{questions}", PairSettings(page=0))),
        ):
            ready[file] = open_lines(file)
            tracemalloc.start()
            work()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        return peaks[0], peaks[1]

    peak(5)  # what is loaded once
    small, large = peak(20), peak(160)
    lines = 140 * len(ANSWERS)  # of about 700 bytes each once they are scored
    assert large[0] - small[0] < 10 * lines and large[1] - small[1] < 40 * lines
