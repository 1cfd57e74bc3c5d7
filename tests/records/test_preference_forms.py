"""Records with two answers: one conversation however they are written, and the faults of each form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tessera.chat.message import Conversation, Image, Video
from tessera.records.faults import DataError, Reason
from tessera.records.forms.detect import FormName, detect, forms_of, parse_as
from tessera.records.record import RecordPlace

PLACE = RecordPlace(Path("a.jsonl"), 3, Path("media"))
MMPR = {"image": "a.png", "question": "<image>\nWhat is it?", "chosen": "A cat.", "rejected": "A dog."}

USER, CAT = {"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A cat."}
DOG = {"role": "assistant", "content": "A dog."}
SHOWN = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}
ASKED = [{"from": "human", "value": "<image>\nWhat is it?"}]


def words(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


SAME: list[tuple[FormName, dict[str, Any]]] = [
    ("mmpr", MMPR),
    ("mmpr", MMPR | {"image": ["a.png"], "question": "What is it?"}),
    ("mmpr", MMPR | {"answer_gt": "cat", "chosen_meta": {"model": "a"}, "rejected_meta": None, "why": {}}),
    ("trl", {"images": ["a.png"], "prompt": "What is it?", "chosen": "A cat.", "rejected": "A dog."}),
    ("trl", {"image": "a.png", "prompt": [USER], "chosen": [CAT], "rejected": [DOG]}),
    ("trl", {"images": ["a.png"], "prompt": [SHOWN], "chosen": [CAT], "rejected": [DOG]}),
    ("trl", {"images": ["a.png"], "prompt": [SHOWN], "chosen": "A cat.", "rejected": "A dog."}),
    (
        "trl",
        {
            "images": [{"path": "a.png", "bytes": None}],
            "prompt": [SHOWN],
            "chosen": [CAT | {"content": words("A cat.")}],
            "rejected": [DOG | {"content": words("A dog.")}],
        },
    ),
    ("trl", {"images": ["a.png"], "chosen": [USER, CAT], "rejected": [USER, DOG]}),
    ("trl", {"image": "a.png", "chosen": [SHOWN, CAT], "rejected": [SHOWN, DOG], "score_chosen": 8.5}),
    (
        "trl",
        {
            "images": ["a.png"],
            "prompt": "What is it?",
            "messages": [USER, CAT],
            "chosen": [USER, CAT],
            "rejected": [USER, DOG],
        },
    ),
    ("swift", {"images": ["a.png"], "messages": [USER, CAT], "rejected_response": "A dog."}),
    (
        "swift",
        {
            "images": ["a.png"],
            "messages": [USER, CAT],
            "rejected_messages": [USER, DOG],
            "rejected_images": ["a.png"],
        },
    ),
    (
        "swift",
        {"images": ["a.png"], "query": "What is it?", "response": "A cat.", "rejected_response": "A dog."},
    ),
    ("swift", {"images": ["a.png"], "messages": [USER], "chosen": CAT, "rejected": DOG}),
    (
        "swift",
        {
            "images": ["a.png"],
            "instruction": "What is it?",
            "input": "",
            "chosen": "A cat.",
            "rejected": "A dog.",
        },
    ),
    ("openai", {"images": ["a.png"], "messages": [SHOWN, CAT], "rejected_response": "A dog."}),
    ("openai", {"images": ["a.png"], "messages": [SHOWN, CAT], "rejected_messages": [SHOWN, DOG]}),
    ("openai", {"images": ["a.png"], "messages": [SHOWN], "chosen": CAT, "rejected": DOG}),
    (
        "sharegpt",
        {
            "images": ["a.png"],
            "conversations": ASKED,
            "chosen": {"from": "gpt", "value": "A cat."},
            "rejected": {"from": "gpt", "value": "A dog."},
        },
    ),
    (
        "sharegpt",
        {
            "image": "a.png",
            "conversation": [{"human": "<image>\nWhat is it?", "assistant": "A cat."}],
            "rejected_response": "A dog.",
        },
    ),
]


def parse(form: FormName, record: object, place: RecordPlace = PLACE) -> Conversation:
    return parse_as(form, record, place)


def reasons(form: FormName, record: object) -> list[tuple[str, Reason]]:
    with pytest.raises(DataError) as caught:
        parse(form, record)
    return [(fault.field, fault.reason) for fault in caught.value.faults]


@pytest.mark.parametrize(("form", "record"), SAME)
def test_one_pair_in_every_form(form: FormName, record: dict[str, Any]) -> None:
    assert detect([record]) == form
    talk = parse(form, record)
    assert [message.role for message in talk.messages] == ["user", "assistant"]
    assert [answer.text for answer in talk.answers] == ["A cat.", "A dog."]
    assert talk.messages[0].parts[0] == Image(Path("media/a.png"))
    assert talk.messages[0].text == "\nWhat is it?"


def test_what_comes_before_belongs_to_both() -> None:
    """A system text, earlier turns, and the history of a query; only the last turn has two answers."""
    told = {"role": "system", "content": "Be brief."}
    before = [told, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    records: list[tuple[FormName, dict[str, Any]]] = [
        ("trl", {"prompt": [*before, USER], "chosen": [CAT], "rejected": [DOG]}),
        ("trl", {"chosen": [*before, USER, CAT], "rejected": [*before, USER, DOG]}),
        ("swift", {"messages": [*before, USER, CAT], "rejected_response": "A dog."}),
        ("swift", {"messages": [*before, USER, CAT], "rejected_messages": [*before, USER, DOG]}),
        ("swift", {"messages": [*before, USER], "chosen": CAT, "rejected": DOG}),
        (
            "swift",
            {
                "system": "Be brief.",
                "history": [["Hi", "Hello."]],
                "instruction": "What is it?",
                "chosen": "A cat.",
                "rejected": "A dog.",
            },
        ),
        (
            "sharegpt",
            {
                "system": "Be brief.",
                "conversations": [
                    {"from": "human", "value": "Hi"},
                    {"from": "gpt", "value": "Hello."},
                    {"from": "human", "value": "What is it?"},
                ],
                "chosen": {"from": "gpt", "value": "A cat."},
                "rejected": {"from": "gpt", "value": "A dog."},
            },
        ),
    ]
    read = []
    for form, record in records:
        assert detect([record]) == form
        talk = parse(form, record)
        read.append(([(m.role, m.text) for m in talk.messages], [a.text for a in talk.alternatives]))
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "What is it?")]
    assert read == [([*said, ("assistant", "A cat.")], ["A dog."])] * len(records)


def test_mmpr_without_pictures_with_several_and_with_a_clip() -> None:
    words = parse("mmpr", {"question": "1 + 1?", "chosen": "2", "rejected": "3"})
    assert words.media == ()
    several = {"image": ["a.png", "b.png"], "question": "<image>, then <image>. Which?"}
    assert len(parse("mmpr", MMPR | several).media) == 2
    clip = {"image": None, "video": "c.mp4", "question": "<video>\nWhat happens?"}
    assert isinstance(parse("mmpr", MMPR | clip).media[0], Video)


FAULTS: list[tuple[dict[str, Any], tuple[str, Reason]]] = [
    ({"rejected": "A cat."}, ("rejected", Reason.SAME_ANSWER)),
    ({"rejected": " A cat.\n"}, ("rejected", Reason.SAME_ANSWER)),
    ({"rejected": ""}, ("rejected", Reason.EMPTY_ANSWER)),
    ({"chosen": "  "}, ("chosen", Reason.EMPTY_ANSWER)),
    ({"chosen": None}, ("chosen", Reason.BAD_FIELD)),
    ({"rejected": ["A dog."]}, ("rejected", Reason.BAD_FIELD)),
    ({"question": ""}, ("question", Reason.EMPTY_QUESTION)),
    ({"question": "<image> and <image>"}, ("image", Reason.MARK_COUNT)),
    ({"image": None}, ("image", Reason.MARK_COUNT)),
    ({"rejected": "a\0b"}, ("rejected", Reason.NUL)),
]


@pytest.mark.parametrize(("change", "fault"), FAULTS)
def test_faults_of_mmpr(change: dict[str, Any], fault: tuple[str, Reason]) -> None:
    given = MMPR | change
    if "question" in change and not change["question"]:
        given = given | {"image": None}
    assert reasons("mmpr", given) == [fault]


def test_every_fault_of_a_pair_is_told() -> None:
    assert reasons("mmpr", MMPR | {"chosen": "", "rejected": "", "question": "<image> <image>"}) == [
        ("chosen", Reason.EMPTY_ANSWER),
        ("rejected", Reason.EMPTY_ANSWER),
        ("image", Reason.MARK_COUNT),
    ]


TRL = {"images": ["a.png"], "prompt": [SHOWN], "chosen": [CAT], "rejected": [DOG]}
WHOLE = {"chosen": [USER, CAT], "rejected": [USER, DOG]}
ASKS = USER | {"content": words("What is it?")}
SWIFT = {"messages": [USER, CAT], "rejected_response": "A dog."}
RANKED = {"conversations": [{"from": "human", "value": "What is it?"}]}
RANKED |= {"chosen": {"from": "gpt", "value": "A cat."}, "rejected": {"from": "gpt", "value": "A dog."}}
ALPACA = {"instruction": "What is it?", "chosen": "A cat.", "rejected": "A dog."}
OTHERS: list[tuple[FormName, dict[str, Any], tuple[str, Reason]]] = [
    ("trl", TRL | {"rejected": [CAT]}, ("rejected[0]", Reason.SAME_ANSWER)),
    ("trl", TRL | {"chosen": [CAT, USER, DOG]}, ("chosen[1]", Reason.ROLE_ORDER)),
    ("trl", TRL | {"rejected": [DOG, USER]}, ("rejected[1]", Reason.ROLE_ORDER)),
    ("trl", TRL | {"rejected": [USER]}, ("rejected[0]", Reason.ROLE_ORDER)),
    ("trl", TRL | {"chosen": []}, ("chosen", Reason.BAD_FIELD)),
    ("trl", TRL | {"rejected": 7}, ("rejected", Reason.BAD_FIELD)),
    ("trl", TRL | {"prompt": None}, ("prompt", Reason.BAD_FIELD)),
    ("trl", TRL | {"images": []}, ("prompt[0].content[0].image", Reason.BAD_FIELD)),
    ("trl", TRL | {"images": ["a.png", "b.png"]}, ("images", Reason.MARK_COUNT)),
    ("trl", {"prompt": "1 + 1?", "chosen": "2", "rejected": "2"}, ("rejected", Reason.SAME_ANSWER)),
    ("trl", {"prompt": "1 + 1?", "chosen": "2", "rejected": ""}, ("rejected", Reason.EMPTY_ANSWER)),
    ("trl", {"prompt": "1 + 1?", "chosen": "2", "rejected": None}, ("rejected", Reason.BAD_FIELD)),
    ("trl", {"prompt": " ", "chosen": "2", "rejected": "3"}, ("prompt", Reason.EMPTY_QUESTION)),
    ("trl", WHOLE | {"rejected": [USER, CAT]}, ("rejected[1]", Reason.SAME_ANSWER)),
    ("trl", WHOLE | {"rejected": [USER | {"content": "And?"}, DOG]}, ("rejected[0]", Reason.OTHER_PROMPT)),
    ("trl", WHOLE | {"rejected": [USER, DOG, USER, CAT]}, ("rejected[1]", Reason.OTHER_PROMPT)),
    ("trl", WHOLE | {"chosen": [USER, CAT, USER, DOG]}, ("rejected[1]", Reason.OTHER_PROMPT)),
    ("swift", SWIFT | {"rejected_response": "A cat."}, ("rejected_response", Reason.SAME_ANSWER)),
    ("swift", SWIFT | {"rejected_response": ""}, ("rejected_response", Reason.EMPTY_ANSWER)),
    ("swift", SWIFT | {"rejected_response": ["A dog."]}, ("rejected_response", Reason.BAD_FIELD)),
    ("swift", SWIFT | {"rejected_images": ["b.png"]}, ("rejected_images", Reason.OTHER_PROMPT)),
    ("swift", SWIFT | {"rejected_messages": [USER, DOG]}, ("rejected_messages", Reason.BAD_FIELD)),
    (
        "swift",
        {"messages": [USER, CAT], "rejected_messages": [USER | {"content": "And?"}, DOG]},
        ("rejected_messages[0]", Reason.OTHER_PROMPT),
    ),
    (
        "swift",
        SWIFT | {"messages": [USER, CAT | {"loss": False}]},
        ("messages[1]", Reason.BAD_FIELD),
    ),
    ("swift", SWIFT | {"rejected_response": "<bbox>"}, ("objects", Reason.BAD_FIELD)),
    ("swift", {"messages": [USER], "chosen": CAT}, ("rejected", Reason.BAD_FIELD)),
    ("swift", {"messages": [USER, CAT], "rejected": DOG}, ("chosen", Reason.BAD_FIELD)),
    ("swift", {"messages": [USER, CAT], "chosen": CAT, "rejected": DOG}, ("chosen.role", Reason.ROLE_ORDER)),
    ("swift", ALPACA | {"rejected": "A cat."}, ("rejected", Reason.SAME_ANSWER)),
    ("swift", ALPACA | {"rejected": {"a": 1}}, ("rejected", Reason.BAD_FIELD)),
    ("swift", ALPACA | {"rejected": "  "}, ("rejected", Reason.EMPTY_ANSWER)),
    ("sharegpt", RANKED | {"rejected": RANKED["chosen"]}, ("rejected", Reason.SAME_ANSWER)),
    (
        "sharegpt",
        RANKED | {"rejected": {"from": "human", "value": "x"}},
        ("rejected.from", Reason.ROLE_ORDER),
    ),
    ("sharegpt", RANKED | {"rejected": "A dog."}, ("rejected", Reason.BAD_FIELD)),
    (
        "sharegpt",
        {
            "conversation": [{"human": "1?", "assistant": "2"}],
            **{k: RANKED[k] for k in ("chosen", "rejected")},
        },
        ("chosen", Reason.BAD_FIELD),
    ),
    ("swift", {"query": "1?", "response": "2", "chosen": CAT, "rejected": DOG}, ("chosen", Reason.BAD_FIELD)),
    ("sharegpt", RANKED | {"chosen": None}, ("chosen", Reason.BAD_FIELD)),
    (
        "openai",
        {"messages": [ASKS, CAT], "rejected_response": " "},
        ("rejected_response.content", Reason.EMPTY_ANSWER),
    ),
    (
        "openai",
        {"messages": [ASKS, CAT], "rejected_messages": [USER, DOG]},
        ("rejected_messages[0]", Reason.OTHER_PROMPT),
    ),
]


@pytest.mark.parametrize(("form", "record", "fault"), OTHERS)
def test_faults_of_the_other_forms(form: FormName, record: dict[str, Any], fault: tuple[str, Reason]) -> None:
    assert reasons(form, record)[0] == fault


SLIPS = [
    ({"question": "1?", "chosen": "2", "reject": "3"}, "write the key 'reject' as 'rejected'"),
    (
        {"prompt": "1?", "chosen_response": "2", "rejected_response": "3"},
        "the key 'chosen_response' as 'chosen'",
    ),
    ({"query": "1?", "chosen": "2", "rejected": "3"}, "write the key 'query' as 'prompt'"),
    ({"chosen": "1? 2", "rejected": "1? 3"}, "write the question under 'prompt'"),
    ({"prompt": "1?", "chosen": "2"}, "write the answer beside 'chosen' under 'rejected'"),
    ({"question": "1?", "rejected": "2"}, "write the answer beside 'rejected' under 'chosen'"),
]


@pytest.mark.parametrize(("record", "words"), SLIPS)
def test_keys_that_are_nearly_those_of_a_pair(record: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_as(detect([record]), record, PLACE)
    (fault,) = caught.value.faults
    assert fault.reason is Reason.UNKNOWN_FORM
    assert words in fault.remedy


@pytest.mark.parametrize("key", ["rejected_respons", "Rejected", "rejectd", "chosn"])
def test_half_of_a_pair_is_no_conversation(key: str) -> None:
    """A slip in the key of the other answer would leave a conversation that looks whole."""
    talk = {"messages": [USER, CAT], key: "A dog."}
    form = detect([talk])
    assert form is not None
    assert (key, Reason.UNKNOWN_KEY) in reasons(form, talk)
    talk = {"conversations": [{"from": "human", "value": "1?"}, {"from": "gpt", "value": "2"}], key: "3"}
    assert reasons("internvl", talk) == [(key, Reason.UNKNOWN_KEY)]


def test_words_about_a_choice_are_no_slips() -> None:
    for about in ({"rejected_by": "an annotator"}, {"reject": True}, {"choice": "B"}, {"is_rejected": "no"}):
        assert parse("swift", {"messages": [USER, CAT], **about}).alternatives == ()


def test_turn_ends_are_left_out_of_both_answers() -> None:
    talk = parse("mmpr", MMPR | {"train_turn_ends": False})
    assert [answer.end_trained for answer in talk.answers] == [False, False]


def test_a_pair_is_no_document() -> None:
    with pytest.raises(
        DataError, match=r"rejected: bad field \(answers to choose among\); remove 'pretraining'"
    ):
        parse("mmpr", MMPR, RecordPlace(Path("a.jsonl"), 1, Path("media"), pretraining=True))


def test_an_answered_question_is_no_pair() -> None:
    assert forms_of({"question": "1 + 1?", "answer": "2"}) == ()
