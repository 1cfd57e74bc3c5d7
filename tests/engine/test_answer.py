"""Answers as they are handed out and remembered: stripped, begun, thought apart; and calls that go wrong."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tessera
from tessera.chat.message import Conversation, ask, say
from tessera.engine.answer import CLOSE, OPEN, Answer, AnswerStream
from tessera.engine.chat_model import ChatModel
from tessera.engine.core.ticket import Event
from tessera.engine.reference import generate_slowly
from tessera.engine.stream import TextStream
from tests.engine import tiny
from tests.engine.test_chat_model import WIDE, model

__all__ = ["model"]


def streamed(text: str, begun: str = "", stops: tuple[str, ...] = (), strip: bool = True) -> tuple[str, str]:
    """Pieces joined, and the final text."""
    stream = TextStream(tiny.tokenizer(), stops, begun, strip)
    pieces = [stream.push(token) for token in tiny.tokenizer().encode_plain(text)]
    return "".join((*pieces, stream.flush())), stream.text


def test_answers_are_stripped_as_the_cards_do() -> None:
    """Their code: `response.split(template.sep.strip())[0].strip()`."""
    for text in (" \n a red  circle \n\n", "  ", "", "a\n", "\n<|im_end|>b", " a <|im_end|> b"):
        joined, final = streamed(text, stops=("<|im_end|>",))
        assert joined == final == text.split("<|im_end|>")[0].strip()
    assert streamed(" a ", strip=False) == (" a ", " a ")
    assert streamed("\nred", stops=("\n",)) == ("", ""), "a stop string in front still ends the answer"


def test_an_answer_includes_the_words_it_begins_with() -> None:
    assert streamed(" red END x", "It is END,", ("END",)) == ("It is END, red", "It is END, red")


def test_prefill_is_the_beginning_of_the_turn(model: ChatModel) -> None:
    """Given beside the question, or as the last message: the ids of the turn as it would be in a history."""
    begun = "the red circle"
    talk = [{"role": "user", "content": "which?"}, {"role": "assistant", "content": begun}]
    first = model.prompt("which?", prefill=begun, max_new_tokens=9)
    second = model.prompt(talk, continue_final_message=True, max_new_tokens=9)
    assert first.encoded.ids.tolist() == second.encoded.ids.tolist()
    whole = model.encoder.encode(Conversation((ask("which?"), say("assistant", begun)))).ids.tolist()
    assert whole[: len(first.encoded.ids)] == first.encoded.ids.tolist()
    said, history = model.chat(talk, continue_final_message=True, max_new_tokens=9, return_history=True)
    assert said.startswith(begun) and len(said) > len(begun), "the whole turn is the answer"
    assert history == [talk[0], {"role": "assistant", "content": said.whole}]
    assert "".join(model.stream("which?", prefill=begun, max_new_tokens=9)) == said
    assert model.batch([{"question": "which?", "prefill": begun}], max_new_tokens=9) == [said]
    slow = generate_slowly(
        tiny.model(), model.tokenizer, model.encoder.stop_ids, first.encoded, first.sampling
    )
    assert model.complete([first])[0] == slow
    turns = Conversation((ask("which?"), say("assistant", begun)))
    again, longer = model.chat(turns, continue_final_message=True, max_new_tokens=9, return_history=True)
    assert again == said and longer.messages[-1].text == said.whole and len(longer.messages) == 2


def test_a_thought_is_apart_and_stays_in_the_history(model: ChatModel) -> None:
    said, history = model.chat(
        "which?", prefill="<think>\nit is red\n</think>\n\nthe ", max_new_tokens=5, return_history=True
    )
    assert said.thought == "it is red" and said.startswith("the") and OPEN not in said
    assert history[0][1] == said.whole and said.whole.startswith("<think>\nit is red\n</think>")
    assert model.encode("so?", history=history) is not None
    raw = model.chat("which?", prefill=said.whole, max_new_tokens=1, strip=False)
    assert raw.startswith("<think>") and not raw.thought
    assert pickle.loads(pickle.dumps(said)).thought == said.thought and json.dumps(said) == json.dumps(
        str(said)
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(
        st.sampled_from([OPEN, CLOSE, "<th", "ink>", "</", "think>", " ", "\n", "a", "red "]), max_size=9
    ),
    st.integers(1, 5),
)
def test_a_stream_says_what_the_answer_says(parts: list[str], width: int) -> None:
    whole = "".join(parts).strip()
    pieces = [whole[i : i + width] for i in range(0, len(whole), width)]
    thoughts: list[str] = []
    stream = AnswerStream(map(Event, pieces), True, thoughts.append)
    words = "".join(stream)
    assert words == Answer(whole) == stream.answer
    assert "".join(thoughts) == stream.answer.thought
    assert stream.answer.whole == whole


def test_what_was_returned_is_taken_back(model: ChatModel) -> None:
    """Also an answer of no words, in every form in which engines write one."""
    first = model.chat("what?", WIDE, max_new_tokens=1)
    said, history = model.chat("what?", WIDE, stop=first[:1], max_new_tokens=4, return_history=True)
    assert said == "" and history == [("<image>\nwhat?", "")]
    pairs = model.encode("why?", WIDE, history=history)
    content: list[Any] = [{"type": "image", "image": WIDE}, {"type": "text", "text": "what?"}]
    for empty in ("", None):
        talk = [
            {"role": "user", "content": content},
            {"role": "assistant", "content": empty},
            {"role": "user", "content": "why?"},
        ]
        assert model.encode(talk).ids.tolist() == pairs.ids.tolist()
    spoken = Answer("<image> is a mark")
    assert model.chat("why?", history=[("what?", spoken)], max_new_tokens=2) is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": [WIDE]}, "images = .*give pictures="),
        ({"generation_config": {"max_new_tokens": 3}}, r"chat\(question, \*\*generation_config\)"),
        ({"max_tokens": 3}, "max_tokens = 3: no such setting; give max_new_tokens="),
        ({"torch_dtype": "bfloat16"}, r"tessera.load\(\.\.\., dtype="),
        ({"max_num": 12}, "give max_tiles="),
        ({"histroy": []}, "did you mean history"),
        ({"zzz": 1}, "choose from audios, continue_final_message"),
        ({"system": 4}, "system = 4: give text"),
        ({"max_tiles": "6"}, "max_tiles = '6': give a whole number"),
        ({"num_patches_list": [1.5]}, "num_patches_list = .*give a list of whole numbers"),
        ({"continue_final_message": True}, "beside a question use prefill="),
    ],
)
def test_words_of_other_calls_name_the_right_one(
    model: ChatModel, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model.chat("is", **options)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("is it red?", "items: str is one question"),
        ({"question": "is"}, "items: dict is one question"),
        (Conversation((ask("is"),)), "items: Conversation is one question"),
        ([{"role": "user", "content": "is"}], r"items: these are the messages of one talk.*\[messages\]"),
        (3, "items: int is no list"),
    ],
)
def test_one_question_is_no_batch(model: ChatModel, items: Any, message: str) -> None:
    """A string was taken for as many questions as it has letters."""
    with pytest.raises(ValueError, match=message):
        model.batch(items)


def test_the_cards_order_of_arguments_is_named(model: ChatModel) -> None:
    with pytest.raises(ValueError, match=r"chat\(question, pictures\), everything else by name"):
        model.chat("a", None, "b", {"max_new_tokens": 3})  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (None, {"torch_dtype": "bfloat16"}, "torch_dtype = 'bfloat16': no such setting; give dtype="),
        (None, {"trust_remote_code": True}, "not needed here; leave it out"),
        (None, {"devise": "cpu"}, "did you mean device"),
        ("opengvlab/Mono-InternVL-1.5-2B", {}, "adds visual experts to attention"),
        ("InternVL2-Pro", {}, "weights were never published"),
    ],
)
def test_opening_says_what_is_not_opened(name: str | None, options: dict[str, Any], message: str) -> None:
    """Refused models were looked for on the hub, and failed there for other reasons."""
    with pytest.raises(ValueError, match=message):
        tessera.load(name, **options)


def test_a_last_answer_without_the_switch_is_an_error(model: ChatModel) -> None:
    talk = [{"role": "user", "content": "is"}, {"role": "assistant", "content": "it"}]
    with pytest.raises(ValueError, match="continue_final_message=True"):
        model.chat(talk)
    with pytest.raises(ValueError, match="holds no words of the assistant"):
        model.chat(talk[:1], continue_final_message=True)
