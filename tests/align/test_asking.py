"""Questions to requests, and answers to response records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tessera.align.asking import (
    Questions,
    Responses,
    ResponseSampling,
    continued,
    first_words,
    requests,
    user_message,
)
from tessera.chat.batch.lines import BatchReplies, BatchReply
from tessera.chat.openai import read_messages


def write(file: Path, *records: Any) -> Path:
    file.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "prompt, images, order",
    [
        ("what?", (), "what?"),
        ("what?", ("a",), "a|what?"),
        ("<image>\nwhat?", ("a",), "a|\nwhat?"),
        ("<image>\nwhat?", ("a", "b"), "a|b|\nwhat?"),
        ("first <image> then <image>.", ("a", "b"), "first |a| then |b|."),
    ],
)
def test_pictures_stand_at_their_marks(prompt: str, images: tuple[str, ...], order: str) -> None:
    content = user_message(prompt, images)["content"]
    found = [part["text"] if part["type"] == "text" else part["image_url"]["url"] for part in content]
    assert "|".join(found) == order


def test_every_response_has_its_own_seed_which_stays(tmp_path: Path) -> None:
    questions = Questions(write(tmp_path / "q.jsonl", {"question": "a"}, {"question": "b", "image": "x.png"}))
    asking = ResponseSampling(max_tiles=6)
    made = [each for question in questions for each in requests(question, question.text, asking, 3)]
    assert [each["custom_id"] for each in made] == ["1-0", "1-1", "1-2", "2-0", "2-1", "2-2"]
    seeds = [each["body"]["seed"] for each in made]
    assert len(set(seeds)) == 6 and all(0 <= seed < 2**63 for seed in seeds)
    again = [each for question in questions for each in requests(question, question.text, asking, 3)]
    assert again == made
    assert made[0]["body"]["max_tokens"] == 4096 and made[0]["body"]["max_tiles"] == 6
    assert (made[0]["body"]["temperature"], made[0]["body"]["top_k"]) == (1.0, 50)


def test_bad_questions_are_told_together_with_field_and_remedy(tmp_path: Path) -> None:
    bad = write(
        tmp_path / "q.jsonl",
        {"question": "fine"},
        {"question": 3},
        ["a"],
        {"question": "?", "image": [1]},
        {"question": "<image> <image> <image>", "image": ["a", "b"]},
    )
    with pytest.raises(ValueError) as caught:
        Questions(bad)
    told = str(caught.value)
    assert (
        "q.jsonl:2: question: bad field (is 3); write what is asked" in told and "q.jsonl:3: line: " in told
    )
    assert "q.jsonl:4: image: bad field (is [1]); write a path" in told and "(and 1 more)" in told
    with pytest.raises(ValueError, match="response: .*this is a response already.; ask from the questions"):
        Questions(write(tmp_path / "r.jsonl", {"question": "a", "response": "b"}))
    with pytest.raises(ValueError, match="response: bad field .is missing.; write what the model said"):
        Responses(write(tmp_path / "s.jsonl", {"question": "a"}))
    with pytest.raises(ValueError, match="holds no record"):
        Questions(write(tmp_path / "empty.jsonl"))


def test_half_of_the_words_and_no_picture(tmp_path: Path) -> None:
    assert first_words("one two three four", 0.5) == "one two"
    assert first_words("one two three", 0.5) == "one"
    assert first_words("one", 0.5) == "one"
    asked = continued("<image>\nwhat is it?", "one two", 7, ResponseSampling(new_tokens=9))
    assert asked["custom_id"] == "7-0" and asked["body"]["continue_final_message"]
    assert asked["body"]["messages"] == [
        {"role": "user", "content": "what is it?"},
        {"role": "assistant", "content": "one two"},
    ]
    assert len(read_messages(asked["body"]["messages"]).messages) == 2


def test_replies_are_found_and_thoughts_put_back(tmp_path: Path) -> None:
    def line(name: str, status: int, body: Any) -> dict[str, Any]:
        return {"custom_id": name, "response": {"status_code": status, "body": body}, "error": None}

    thought = {"content": "so 7", "reasoning_content": "3 + 4"}
    file = write(
        tmp_path / "a",
        line("2-0", 200, {"choices": [{"message": {"content": "é" * 99}, "finish_reason": "length"}]}),
        line("1-0", 200, {"choices": [{"message": thought, "finish_reason": "stop"}]}),
        line("1-1", 400, {"error": {"message": "too long"}}),
    )
    with BatchReplies(file) as replies:
        assert replies["1-0"] == BatchReply("<think>\n3 + 4\n</think>\n\nso 7", "stop")
        assert replies["2-0"] == BatchReply("é" * 99, "length")
        assert replies["1-1"].fault == "too long"
        assert replies["9-9"].fault == "it was not asked yet" and replies.cut == 1


def test_a_thought_goes_on_where_it_had_begun() -> None:
    """Continuations of thinking models had two opening marks, so that all of them broke the format."""
    reply = BatchReply("<think>\nfour is 7.\n</think>\n\n\\boxed{7}", "stop")
    assert reply.behind("<think>\n3 and ") == "<think>\n3 and four is 7.\n</think>\n\n\\boxed{7}"
    assert BatchReply(" so 7").behind("<think>a</think>\n\nIt is") == "<think>a</think>\n\nIt is so 7"
    assert BatchReply(" 7").behind("3 + 4 =") == "3 + 4 = 7"
