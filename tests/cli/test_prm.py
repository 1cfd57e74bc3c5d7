"""`tessera prm`: what goes wrong is named, what was done is kept, figures are those of the parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tessera.align.critics.journal import RatingJournal
from tessera.align.critics.process import ProcessCritic
from tessera.chat.message import Conversation, ask
from tessera.checkpoints.save import save_checkpoint
from tessera.cli.main import main
from tests.engine import tiny
from tests.serve.test_batches_elsewhere import failing

Row = dict[str, Any]


def write(file: Path, *rows: Row) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def lines(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("judge")
    save_checkpoint(folder, tiny.model(), tiny.family(), tiny.tokenizer())
    return str(folder)


def test_a_server_that_fails_midway_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"question": "Is it?", "answer": "so it must be, and I say.yes", "prompt_version": "en_v2"}
    file = write(tmp_path / "r.jsonl", {**said, "response": "so it must be, and I say.\n\nNo."})
    out = tmp_path / "out"
    words = ["prm", "build", str(file), "-o", str(out), "--name", "any", "--continuations", "4", "--json"]
    patience = ["--http.attempts", "1", "--http.concurrency", "2", "--http.first-wait", "0"]
    with failing(5) as address:
        assert main([*words, "--endpoint", address, *patience]) == 2
    assert "500" in capsys.readouterr().err and not list(out.glob("*.jsonl"))
    kept = lines(out / "continuations.answers")
    assert 1 <= len(kept) <= 5
    with failing(8 - len(kept)) as address:
        assert main([*words, "--endpoint", address, *patience]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"], told["steps"], told["wrong_steps"], told["refused"]) == (1, 2, 1, {})
    assert lines(out / "continuations.answers")[: len(kept)] == kept
    (record,) = lines(out / "r_steps.jsonl")
    assert [step["num_mc_correct"] for step in record["steps_with_score"]] == [4, 0]


def test_early_stop_asks_step_by_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"question": "Is it?", "answer": "so it must be, and I say.yes", "prompt_version": "en_v2"}
    solution = "so it must be, and I say.\n\nNo.\n\nMore.\n\nEnd."
    file, out = write(tmp_path / "r.jsonl", {**said, "response": solution}), tmp_path / "out"
    words = ["prm", "build", str(file), "-o", str(out), "--name", "any", "--continuations", "3", "--json"]
    with failing(6) as address:
        assert main([*words, "--early-stop", "--endpoint", address, "--http.attempts", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"], told["steps"], told["wrong_steps"]) == (1, 4, 3)
    marks = lines(out / "r_steps.jsonl")[0]["steps_with_score"]
    counts = [(step["num_mc_correct"], step["num_mc_total"]) for step in marks]
    assert counts == [(3, 3), (0, 3), (0, 0), (0, 0)]
    assert len(lines(out / "continuations.answers")) == 6 and "not tried" in (out / "steps.html").read_text()


def test_published_scores_become_talks_without_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Raw files of VisualPRM400K name no prompt; another threshold needs no new continuation."""
    said = {"question": "Is it?", "answer": "7", "response": "a\n\nb", "question_orig": "It?"}

    def marked(*scores: object) -> Row:
        entries = [{"step": f"s{n}", "score": score, "num_mc_correct": 2} for n, score in enumerate(scores)]
        return {**said, "steps_with_score": entries, "num_mc_sequences": 8}

    bad = [marked(2.0), marked("1"), {**said, "steps_with_score": []}, said]
    file, out = write(tmp_path / "raw.jsonl", marked(0.25, 0.0), marked(1), *bad), tmp_path / "out"
    for threshold, labels in (("0", ["+", "-"]), ("0.25", ["-", "-"])):
        assert main(["prm", "build", str(file), "-o", str(out), "--threshold", threshold, "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert (told["kept"], told["refused"]) == (2, {"a step without a score": 4})
        talks = lines(out / "raw_prm.jsonl")
        assert [turn["value"] for turn in talks[0]["conversations"] if turn["from"] == "gpt"] == labels
    refused = [one["detail"] for one in lines(out / "refused.jsonl")]
    assert "steps_with_score: step 1 is {'step': 's0', 'score': 2.0" in refused[0] and "None" in refused[3]
    raw = lines(out / "raw_steps.jsonl")
    assert raw[0]["num_mc_sequences"] == 8 and raw[0]["question_orig"] == "It?"
    assert raw[0]["steps_with_score"][0] == {
        "step": "s0", "score": 0.25, "num_mc_correct": 2, "num_mc_total": 0
    }  # fmt: skip
    assert not list(out.glob("*.requests"))


def test_nothing_to_build_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "r.jsonl", {"question": "?", "response": "x"})
    assert main(["prm", "build", str(file), "-o", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().out
    assert "refused          1  prompt_version: bad field" in told and "r.jsonl:1: prompt_version" in told
    for words, why in (
        (["--continuations", "0"], "--continuations 0: give at least 1"),
        (["--max-steps", "0"], "--max-steps 0: give at least 1"),
        (["--threshold", "1"], "threshold: 1"),
        (["--modes", "luck"], "mode 'luck' is unknown"),
    ):
        assert main(["prm", "build", str(file), "-o", str(tmp_path / "out"), *words]) == 2
        assert why in capsys.readouterr().err


def responses(folder: Path) -> Path:
    tiny.picture(1, 60, 30).save(folder / "a.png")
    asked = {"question": "<image>\nhow many circles", "image": "a.png"}
    return write(
        folder / "said.jsonl",
        {**asked, "response": "the red\n\nis left\n\nof 3", "id": 7},
        {**asked, "response": "one step"},
        {**asked, "response": "x " * 5000},
        {**asked, "response": " \n"},
        {"question": "blue?", "response": "square\n\ncircle"},
        {"question": "gone?", "image": "gone.png", "response": "a"},
        {"question": "<image> <image>", "image": "a.png", "response": "a"},
        {"question": "out?", "image": "../a.png", "response": "a"},
    )


def test_responses_are_rated_and_others_refused_by_name(
    tmp_path: Path, judge: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = responses(tmp_path), tmp_path / "rated.jsonl"
    words = ["prm", "score", str(file), "-o", str(out), "--model", judge]
    assert main([*words, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["lines"], told["rated"], told["single"], told["steps"], told["refused"]) == (8, 3, 1, 6, 5)
    rated, refused = lines(out), lines(tmp_path / "rated.refused.jsonl")
    assert [one["line"] for one in refused] == [3, 4, 6, 7, 8]
    for one, why in zip(
        refused, ["was made for", "' \\n'", "gone.png", "2 <image> for 1", "not below"], strict=True
    ):
        assert why in one["why"]
    critic = ProcessCritic.open(judge)
    talk_of = [one for one in rated if one["question"] == "blue?"][0]
    assert rated[0]["id"] == 7 and [step["step"] for step in talk_of["prm"]["steps"]] == ["square", "circle"]
    (alone,) = critic.score(Conversation((ask("blue?"),)), ["square\n\ncircle"])
    assert talk_of["prm"]["score"] == pytest.approx(alone.score, abs=1e-6)
    assert talk_of["prm"]["mode"] == "soft" and talk_of["prm"]["aggregate"] == "mean"
    assert not (tmp_path / "rated.jsonl.ratings").exists()
    assert main([*words, "--aggregate", "min"]) == 1
    assert "mean score" in capsys.readouterr().out
    low = lines(out)[0]["prm"]
    assert low["score"] == min(step["score"] for step in low["steps"])


def test_ratings_of_an_interrupted_run_are_kept(tmp_path: Path, judge: str) -> None:
    """A run that is killed leaves its ratings beside the output; another model's are not taken."""
    file, out = responses(tmp_path), tmp_path / "rated.jsonl"
    words = ["prm", "score", str(file), "-o", str(out), "--model", judge, "--json"]
    seen: list[int] = []

    def dies(self: ProcessCritic, *given: Any) -> Any:
        seen.append(1)
        if len(seen) > limit:
            raise KeyboardInterrupt
        return rate(self, *given)

    rate, limit = ProcessCritic.rate, 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProcessCritic, "rate", dies)
        assert main(words) == 130
        kept = (tmp_path / "rated.jsonl.ratings").read_bytes()
        assert 4 <= len(kept.splitlines()) < 9 and not out.exists()
        (tmp_path / "rated.jsonl.ratings").write_bytes(kept + b'{"number": 5, "sco')
        first, limit = len(seen), 99
        assert main(words) == 1
        assert len(seen) - first < first, "only the rest was rated"
    assert len(lines(out)) == 3
    other = RatingJournal(tmp_path / "j", {"model": "a"})
    other.add({3: {"score": 1.0}})
    assert RatingJournal(tmp_path / "j", {"model": "a"}).found == {3: {"score": 1.0}}
    assert RatingJournal(tmp_path / "j", {"model": "b"}).found == {}


def labelled(folder: Path) -> Path:
    tiny.picture(1, 60, 30).save(folder / "a.png")
    rows: list[Row] = []
    for number in range(12):
        steps = [f"the red {number}", f"is {number * number}", "left"]
        labels = [1, (1, 0, -1)[number % 3], (-1, 1)[number % 2]]
        source = {"data_source": "left" if number % 4 else "right"}
        said = {"steps": steps, "process_correctness": labels}
        rows.append({"question": "how many", "image": ["a.png"], **source, "response": said})
    return write(folder / "labelled.jsonl", *rows, {"question": "x", "response": {"steps": ["a"]}})


def test_figures_are_those_of_scores_and_labels(
    tmp_path: Path, judge: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = labelled(tmp_path), tmp_path / "scores.jsonl"
    words = ["prm", "evaluate", str(file), "--model", judge, "--json", "--threshold", "0.55"]
    assert main([*words, "-o", str(out)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["refused"] == 1 and "labelled.jsonl:13: response.process_correctness" in told["first"][0]
    pairs = [
        (label, step["score"], one["source"])
        for one in lines(out)[:-1]
        for label, step in zip(one["labels"], one["prm"]["steps"], strict=True)
        if label
    ]
    for name, figures in {**told["sources"], "all": told["all"]}.items():
        own = [(label, score) for label, score, source in pairs if name in (source, "all")]
        found = sum(label == 1 and score > 0.55 for label, score in own)
        both = sum(label == 1 for label, _ in own) + sum(score > 0.55 for _, score in own)
        assert figures["f1_right"] == pytest.approx(2 * found / both if both else 0)
        assert figures["steps"] == len(own)
    assert told["neutral"] == 4 and set(told["sources"]) == {"left", "right"}
    assert main([*words[:-2], "--tune", "right"]) == 1
    tuned = json.loads(capsys.readouterr().out)
    assert tuned["how"] == "tuned on source 'right': 3 of 12 solutions" and tuned["tuned_on"] == [1, 5, 9]
    assert set(tuned["sources"]) == {"left"} and tuned["all"]["steps"] == len(
        [1 for *_, source in pairs if source == "left"]
    )


def test_what_can_not_be_measured(tmp_path: Path, judge: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = labelled(tmp_path)
    words = ["prm", "evaluate", str(file), "--model", judge]
    for more, why in (
        (["--tune", "up"], "no source is called so; give a share or right, left"),
        (["--tune", "1.5"], "give a share between 0 and 1"),
        (["--tune", "0.5", "--threshold", "0.5"], "leave --threshold out"),
        (["--mode", "orm"], "leave --mode orm"),
        (["--labels-field", "gone"], "gone: bad field (is None); write 1, -1 or 0 for each step (and 12"),
    ):
        assert main([*words, *more]) == 2
        assert why in capsys.readouterr().err
    renamed = write(
        tmp_path / "other.jsonl",
        {"q": "how many", "s": ["a", "b"], "l": [1, -1]},
        {"q": "how many", "s": ["a", "b"], "l": [1, 2]},
        {"q": "how many", "s": ["a", "b"], "l": [1]},
        {"q": "how many", "s": ["a", " "], "l": [1, 1]},
    )
    names = ["--question-field", "q", "--steps-field", "s", "--labels-field", "l"]
    assert main(["prm", "evaluate", str(renamed), "--model", judge, *names, "--mode", "hard"]) == 1
    told = capsys.readouterr().out
    assert "threshold -50 (the middle, since none was given)" in told and "(no source)" in told
    assert "has 1 labels for 2 steps" in told and "is [1, 2]); write 1, -1 or 0" in told
