"""`tessera answer`: one question, a file of them, again, with a critic, and with what can't be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tessera.align.critics.critic import Judged
from tessera.align.critics.process import ProcessCritic
from tessera.chat.message import Conversation
from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.main import main


class PictureCritic:
    """Rates questions with a picture; remembers what it was asked."""

    asked: list[tuple[Conversation, list[str]]] = []

    def score(self, conversation: Conversation, responses: Sequence[str]) -> list[Judged]:
        self.asked.append((conversation, list(responses)))
        if "refuse" in conversation.messages[-1].text:
            raise ValueError("responses[0] is too long")
        return [Judged(0.1 * len(set(response)), (1.0,)) for response in responses]


@pytest.fixture
def critic(monkeypatch: pytest.MonkeyPatch) -> type[PictureCritic]:
    monkeypatch.setattr(PictureCritic, "asked", [])
    monkeypatch.setattr(ProcessCritic, "open", lambda *_, **__: PictureCritic())
    return PictureCritic


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    PIL.Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    asked = [
        {"image": "red.png", "question": "What colour is it?", "answer": "red", "id": 5},
        {"question": "What is 3 + 4?", "answer": "7"},
        {"image": ["red.png"], "question": "And this? <image>", "answer": "no"},
    ]
    file = tmp_path / "asked.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in asked))
    return file


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_one_question(
    questions: Path, critic: type[PictureCritic], capsys: pytest.CaptureFixture[str]
) -> None:
    picture, words = str(questions.with_name("red.png")), ["--prompt", "plain", "--new-tokens", "8"]
    assert main(["answer", picture, "what colour is it?", *words]) == 0
    alone = capsys.readouterr().out
    assert alone.strip() and "answer:" not in alone, "one candidate is an answer like any other"
    assert (
        main(["answer", picture, "what colour is it?", "--majority", "4", "--temperature", "2", *words]) == 0
    )
    said = capsys.readouterr().out
    assert "of 4 votes)" in said and "4 candidates: " in said and "tokens of the prompt shared" in said
    prm = ["--best-of", "4", "--critic", str(shipped_folder()), "--temperature", "2"]
    assert main(["answer", picture, "what colour is it?", *prm, *words, "--json"]) == 0
    found = told(capsys)
    ((talk, texts),) = critic.asked
    given = [one["text"] for one in found["candidates"]]
    assert len(talk.media) == 1 and list(dict.fromkeys(given)) == texts, "what is said twice is rated once"
    assert len(given) == 4 and all(one["score"] > 0 for one in found["candidates"])
    assert found["response"] == max(texts, key=lambda text: len(set(text))) and found["critic_seconds"] > 0
    assert texts[0].strip() == alone.strip(), "the first candidate is the greedy one"


def test_a_file_and_the_same_again(
    questions: Path, critic: type[PictureCritic], capsys: pytest.CaptureFixture[str]
) -> None:
    out = questions.with_name("answers.jsonl")
    words = ["answer", "--file", str(questions), "-o", str(out), "--new-tokens", "10", "--temperature", "2"]
    prm = ["--best-of", "3", "--critic", str(shipped_folder())]
    assert main([*words, *prm, "--json"]) == 0
    assert told(capsys) | {"output": 0} == {
        "output": 0, "questions": 3, "responses": 3, "cut": told_cut(out), "empty": 0, "faults": []
    }  # fmt: skip
    made = lines(out)
    assert [one["question_orig"] for one in made] == [
        "What colour is it?",
        "What is 3 + 4?",
        "And this? <image>",
    ]
    assert made[0]["id"] == 5 and made[0]["prompt_version"] == "en_v2" and made[0]["answer"] == "red"
    for record in made:
        selection = record["selection"]
        scores = [one["score"] for one in selection["candidates"]]
        assert selection["index"] == scores.index(max(scores)) == record["sample"]
        assert record["response"] == selection["candidates"][selection["index"]]["text"]
        assert selection["tokens"] == sum(one["tokens"] for one in selection["candidates"]) > 0
    assert [len(talk.media) for talk, _ in critic.asked] == [1, 0, 1]

    again = out.read_bytes()
    out.unlink()
    assert main([*words, *prm]) == 0
    assert out.read_bytes() == again and len(critic.asked) == 3, "scores are kept beside the answers"
    assert main([*words, "--majority", "3", "--vote", "critic", "--critic", str(shipped_folder())]) == 0
    assert len(critic.asked) == 3 and lines(out)[0]["selection"]["rule"]["vote"] == "critic"
    kept = out.with_name("answers.jsonl.answers").read_bytes()
    more = ["--best-of", "4", *prm[2:]]
    assert main([*words, *more]) == 0
    assert out.with_name("answers.jsonl.answers").read_bytes().startswith(kept), "one more is asked for"
    first, longer = lines(out)[0]["selection"]["candidates"], made[0]["selection"]["candidates"]
    assert len(first) == 4 and [one["text"] for one in first[:3]] == [one["text"] for one in longer]
    del critic.asked[3:]
    assert main([*words, *more, "--rating.aggregate", "min"]) == 0
    assert len(critic.asked) == 6, "another way of rating is another critic"


def told_cut(out: Path) -> int:
    """Responses that ended because their tokens ran out."""
    answers = lines(out.with_name(f"{out.name}.answers"))
    return sum(one["response"]["body"]["choices"][0]["finish_reason"] == "length" for one in answers)


def test_log_probabilities_come_with_the_answers(questions: Path) -> None:
    out = questions.with_name("answers.jsonl")
    words = ["answer", "--file", str(questions), "-o", str(out), "--new-tokens", "6", "--prompt", "plain"]
    assert main([*words, "--majority", "2", "--vote", "logprob"]) == 0
    for record in lines(out):
        assert "prompt_version" not in record
        for one in record["selection"]["candidates"]:
            assert one["logprob"] < 0 if one["text"] else "logprob" not in one, "no words, no probability"


def test_what_fails_is_named_and_the_rest_is_there(
    questions: Path, critic: type[PictureCritic], capsys: pytest.CaptureFixture[str]
) -> None:
    with questions.open("a") as stream:
        stream.write('{"question": "gone", "image": "gone.png"}\n{"question": "refuse this"}\n')
    out = questions.with_name("x.jsonl")
    words = ["answer", "--file", str(questions), "-o", str(out), "--best-of", "2", "--new-tokens", "4"]
    assert main([*words, "--critic", str(shipped_folder()), "--json"]) == 1
    found = told(capsys)
    assert found["responses"] == len(lines(out)) == 3
    assert [fault.partition(":")[0] for fault in found["faults"]] == [
        *("line 4, candidate 0", "line 4, candidate 1"),
        "line 5",
    ]
    assert "too long" in found["faults"][-1]


def test_what_can_not_be(questions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ["--file", str(questions), "-o", str(questions.with_name("x"))]
    for words, told in (
        (["hello", "--best-of", "4"], "--best-of 4: needs --critic; or take --majority 4"),
        (["hello", "--majority", "0"], "--majority 0: give the number of candidates"),
        (["hello", "--majority", "4", "--vote", "critic"], "--vote critic: needs --critic"),
        (
            ["hello", "--majority", "4", "--best-of", "4", "--critic", "x"],
            "--best-of and --majority: choose one",
        ),
        (["hello", "--best-of", "4", "--critic", "/nowhere/prm"], "/nowhere/prm"),
        (
            ["hello", "--majority", "4", "--temperature", "0"],
            "--temperature 0: all candidates would be alike",
        ),
        (["hello", "--prompt", "en_v9"], "--prompt 'en_v9': choose one of en, zh"),
        (["hello", "--endpoint", "http://x"], "--endpoint: belongs to a file of questions"),
        (["--majority", "4"], "nothing to ask"),
        (["--file", str(questions)], "--file and --output go together"),
        (["hello", *file], "--words: belongs to one question; with --file, leave it out"),
        ([*file, "--fps", "2"], "--fps: belongs to one question"),
        (["hello", "--at-once", "3"], "--at-once: belongs to a file of questions"),
        (["hello", "--limits.tiles", "3"], "--limits: belongs to a file of questions"),
        ([*file, "--endpoint", "http://x", "--model", "y"], "has its own model"),
        (["--file", str(questions.with_name("none.jsonl")), *file[2:]], "no file"),
    ):
        assert main(["answer", *words]) == 2
        assert told in capsys.readouterr().err, words
