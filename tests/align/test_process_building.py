"""Solutions to steps, steps to scores, scores to records that train nothing but + and -."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tessera.align.asking import ResponseSampling
from tessera.align.process.building import StepLabels, build_process_data
from tessera.align.process.continuing import Continuations, MarkedStep, Unmarked
from tessera.align.process.records import question_of
from tessera.align.process.solutions import RefusedSolution, Solution, Solutions
from tessera.align.process.steps import split_steps
from tessera.align.process.talk import SYSTEM
from tessera.chat.batch.lines import BatchReplies
from tessera.nn.attention.layout import Packed
from tessera.packing.mix import Draw, MixState
from tessera.packing.pack import Pack, collate
from tessera.packing.samples.encode import DrawEncoder
from tessera.records.manifest import read_meta
from tessera.records.open import open_sources
from tessera.scoring.reasoned.judging import AnswerJudge
from tessera.train.objective.conversation import ConversationObjective
from tests.engine import tiny

JUDGE = AnswerJudge(("vqa", "mc", "math"))
Row = dict[str, Any]


@pytest.mark.parametrize(
    "response, most, steps",
    [
        ("a\n\nb\n\nc", None, ["a", "b", "c"]),
        ("one\nline after line", 12, ["one\nline after line"]),
        ("a\n\n\n\nb", None, ["a", "b"]),
        ("a\n\n\nb", None, ["a", "\nb"]),
        ("\n\na\n\n", None, ["a"]),
        (" \n\n ", None, []),
        ("", 3, []),
        ("a\n\nb\n\nc\n\nd\n\ne", 2, ["a\n\nb\n\nc", "d\n\ne"]),
        ("a\n\nb\n\nc\n\nd", 3, ["a\n\nb", "c\n\nd"]),
        ("\n\n".join("abcdefghijklm"), 12, ["a\n\nb", "c\n\nd", "e\n\nf", "g\n\nh", "i\n\nj", "k\n\nl", "m"]),
        ("a\n\nb", 2, ["a", "b"]),
    ],
)
def test_responses_are_cut_at_blank_lines(response: str, most: int | None, steps: list[str]) -> None:
    found = split_steps(response, most)
    assert [step.text for step in found] == steps
    for step in found:
        assert response[: step.end].endswith(step.text), "what stands before a step's end is kept as it was"
    with pytest.raises(ValueError, match="max_steps = 0: give at least 1"):
        split_steps("a", 0)


def row(response: str, **more: Any) -> Row:
    return {"question": "What?", "answer": "7", "prompt_version": "en_v2", "response": response, **more}


def write(file: Path, rows: list[Row]) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def answer(file: Path, requests: Iterator[Row], said: Any) -> Path:
    """Answers to requests that have none: `said` makes the text from step and number, or raises."""
    have = [json.loads(line)["custom_id"] for line in file.read_text().splitlines()] if file.exists() else []
    with file.open("a") as stream:
        for request in requests:
            if request["custom_id"] in have:
                continue
            begun, number = request["body"]["messages"][-1]["content"], request["custom_id"].split("-")[-1]
            try:
                message = {"message": {"content": said(begun, int(number))}, "finish_reason": "stop"}
                used = {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 8}}
                body, status = {"choices": [message], "usage": used}, 200
            except ValueError as error:
                body, status = {"error": {"message": str(error)}}, 400
            line = {"custom_id": request["custom_id"], "response": {"status_code": status, "body": body}}
            stream.write(json.dumps(line) + "\n")
    return file


def solutions_in(file: Path, most: int = 12) -> list[Solution]:
    return list(Solutions(file, file.parent, most).read(lambda refused: None))


def test_requests_begin_with_the_response_as_it_was(tmp_path: Path) -> None:
    rows = [row("3 + 4\n\n\n\nis it.\n\nSo \\boxed{7}"), row("3 + 4"), row("3 + 4")]
    file = write(tmp_path / "r.jsonl", rows)
    continuations = Continuations(ResponseSampling(), 2, JUDGE)
    asked = [each for one in solutions_in(file) for each in continuations.requests(one, None)]
    assert [each["body"]["messages"][-1]["content"] for each in asked[:6:2]] == [
        "3 + 4",
        "3 + 4\n\n\n\nis it.",
        "3 + 4\n\n\n\nis it.\n\nSo \\boxed{7}",
    ]
    assert all(each["body"]["continue_final_message"] for each in asked)
    assert len({each["custom_id"] for each in asked}) == len({e["body"]["seed"] for e in asked}) == 10
    # Lines in front, as responses that came later, change neither names nor seeds.
    later = write(tmp_path / "s.jsonl", [row("new"), *rows])
    again = [each for one in solutions_in(later)[1:] for each in continuations.requests(one, None)]
    assert again == asked


def said_right(begun: str, number: int) -> str:
    """Right behind a first step in three of four, behind `wrong` never."""
    return " so \\boxed{3}" if "wrong" in begun or number == 3 else " so \\boxed{7}, I think."


@pytest.mark.parametrize("early", [False, True])
def test_scores_are_shares_of_right_answers(tmp_path: Path, early: bool) -> None:
    file = write(tmp_path / "r.jsonl", [row("first\n\nwrong\n\nlast\n\nmore"), row("it is right here.")])
    continuations = Continuations(ResponseSampling(), 4, JUDGE, early)
    answers, rounds = tmp_path / "a", 0
    before = -1
    while (size := answers.stat().st_size if answers.exists() else 0) != before:
        before, rounds = size, rounds + 1
        replies = BatchReplies(answers) if answers.exists() else None
        asked = [each for one in solutions_in(file) for each in continuations.requests(one, replies)]
        answer(answers, iter(asked), said_right)
    assert len(asked) == (12 if early else 20)
    with BatchReplies(answers) as replies:
        first, second = (continuations.marks(one, replies) for one in solutions_in(file))
        assert replies.prompt_tokens == 10 * len(asked) and replies.cached_tokens == 8 * len(asked)
    assert first[0] == MarkedStep("first", 0.75, 3, 4) and first[1] == MarkedStep("wrong", 0.0, 0, 4)
    total = 0 if early else 4
    assert first[2:] == (MarkedStep("last", 0.0, 0, total), MarkedStep("more", 0.0, 0, total))
    assert [step.score for step in second] == [0.75]
    assert rounds == (3 if early else 2)


def test_a_missing_answer_is_named(tmp_path: Path) -> None:
    def fails(begun: str, number: int) -> str:
        if begun.endswith("b") and number == 1:
            raise ValueError("the prompt has 9,999 tokens")
        return "\\boxed{7}"

    file = write(tmp_path / "r.jsonl", [row("a\n\nb")])
    continuations = Continuations(ResponseSampling(), 2, JUDGE)
    (solution,) = solutions_in(file)
    with (
        BatchReplies(answer(tmp_path / "a", continuations.requests(solution, None), fails)) as replies,
        pytest.raises(Unmarked, match="step 2, continuation 2: the prompt has 9,999 tokens"),
    ):
        continuations.marks(solution, replies)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder of data made of sound and unsound lines."""
    tiny.picture(1, 60, 30).save(tmp_path / "a.png")
    rows = [
        row("first\n\nwrong\n\nlast", image="a.png", question="<image>\nWhat?", id=5),
        row("all at once"),
        row(" \n\n"),
        row("so", image="gone.png"),
        row("see <image>\n\nso", image="a.png"),
        row("so", image=["a.png", "a.png"], question="<image> <image> <image>"),
        {"question": "x", "response": "y", "prompt_version": "en"},
        row("fails here"),
    ]
    file, out = write(tmp_path / "r.jsonl", rows), tmp_path / "out"
    out.mkdir()

    def said(begun: str, number: int) -> str:
        if "fails" in begun:
            raise ValueError("too long")
        return said_right(begun, number)

    solutions = Solutions(file, tmp_path, 12)
    continuations = Continuations(ResponseSampling(), 4, JUDGE)
    refused: list[RefusedSolution] = []
    asked = [each for one in solutions.read(refused.append) for each in continuations.requests(one, None)]
    assert [one.line for one in refused] == [3, 4, 6, 7]
    with BatchReplies(answer(tmp_path / "answers", iter(asked), said)) as replies:
        labels = StepLabels(orm=True)
        report = build_process_data(
            solutions, lambda one: continuations.marks(one, replies), 4, (out, "r"), tmp_path, labels
        )
    assert (report.lines, report.kept, report.steps, report.wrong_steps, report.single) == (8, 2, 4, 2, 1)
    assert report.refused == {
        "an empty response": 1,
        "a picture that is not there": 1,
        "a record that training can't read": 1,
        "other marks than pictures": 1,
        "answer: bad field": 1,
        "a step without a score": 1,
    }
    return out


def test_the_judge_may_be_told_something_else(tmp_path: Path) -> None:
    solutions = Solutions(write(tmp_path / "r.jsonl", [row("7")]), tmp_path, 12)
    labels = StepLabels(orm=True, system="is it right?")
    marks = (MarkedStep("7", 1.0, 1, 1),)
    build_process_data(solutions, lambda _: marks, 1, (tmp_path, "r"), tmp_path, labels)
    for end in ("prm", "orm"):
        (talk,) = lines(tmp_path / f"r_{end}.jsonl")
        assert talk["conversations"][0] == {"from": "system", "value": "is it right?"}


def lines(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_records_are_as_published(built: Path) -> None:
    raw, talks, whole = (lines(built / f"r_{end}.jsonl") for end in ("steps", "prm", "orm"))
    assert raw[0]["steps_with_score"][0] == {
        "step": "first",
        "score": 0.75,
        "num_mc_correct": 3,
        "num_mc_total": 4,
    }
    assert raw[0]["num_mc_sequences"] == 4 and raw[0]["id"] == 5 and raw[0]["image"] == "a.png"
    assert raw[0]["question_orig"] == raw[0]["question"], "where a response names no other"
    assert [turn["value"] for turn in talks[0]["conversations"]] == [
        SYSTEM,
        "### Question:\n<image>\nWhat?\n\n### Solution Process:\nfirst",
        *("+", "wrong", "-", "last", "-"),
    ]
    assert [turn["from"] for turn in talks[0]["conversations"]] == ["system", *["human", "gpt"] * 3]
    assert whole[0]["conversations"][1]["value"].endswith("Process:\nfirst\n\nwrong\n\nlast")
    assert [turn["value"] for turn in whole[0]["conversations"][2:]] == ["-"]
    refused = lines(built / "refused.jsonl")
    assert [one["line"] for one in refused] == [3, 4, 5, 6, 7, 8]
    assert "too long" in refused[-1]["detail"] and "gone.png" in refused[1]["detail"]
    page = (built / "steps.html").read_text()
    assert '<p class="turn good">3/4  first</p>' in page and '<p class="turn bad">0/4  wrong</p>' in page


def packed(meta: Path) -> Pack:
    sources = open_sources(read_meta(meta))
    encode = DrawEncoder(sources, tiny.encoder())
    size = sources[0].source.size
    assert size is not None
    return collate([encode.sample(Draw(0, index, 0, MixState(0, (0,)))) for index in range(size)])


def test_only_signs_carry_loss(built: Path) -> None:
    """The published runs also train the token that ends a turn: `--train-turn-ends`."""
    pack, tokenizer = packed(built / "meta.json"), tiny.tokenizer()
    trained = [tokenizer.decode([int(token)]) for token in pack.ids[pack.weights > 0]]
    assert trained == ["+", "-", "-", "+"] and pack.trained == (3, 1)
    assert [int(t) for t in pack.ids[np.flatnonzero(pack.weights) + 1]] == [
        tokenizer.token_id("<|im_end|>")
    ] * 4
    outcome = packed(built / "meta_orm.json")
    assert [tokenizer.decode([int(t)]) for t in outcome.ids[outcome.weights > 0]] == ["-", "+"]


def test_nothing_else_moves_the_loss(built: Path) -> None:
    """The loss that training takes is the surprise at the four signs, and no other token's."""
    pack, model = packed(built / "meta.json"), tiny.model()
    with torch.no_grad():
        ids = pack.ids
        hidden = model(ids, Packed(pack.lengths), tiles=pack.tiles)
        scores = model.logits(hidden).float().log_softmax(-1)
        places = pack.weights.nonzero()[:, 0]
        expected = -scores[places - 1, ids[places]].sum()
        found = ConversationObjective().loss_sum(model, pack, torch.device("cpu"))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    "prompt, pictures, question",
    [
        ("What?", 0, "What?"),
        ("What?", 1, "<image>\nWhat?"),
        ("What?", 2, "<image>\n<image>\nWhat?"),
        ("<image>\nWhat?", 1, "<image>\nWhat?"),
        ("<image>\nWhat?", 2, "<image><image>\nWhat?"),
        ("a <image> b <image>", 2, "a <image> b <image>"),
    ],
)
def test_every_picture_has_a_mark(prompt: str, pictures: int, question: str) -> None:
    assert question_of(prompt, pictures) == question


def test_the_system_text_is_that_of_the_facts(repo_root: Path) -> None:
    page = (repo_root / "docs/facts/process_reward.md").read_text(encoding="utf-8")
    assert f"```\n{SYSTEM}\n```\n" in page
