"""LMDeploy's calls as on the model cards: prompts and answers of `chat`, its fields, its mistakes."""

from __future__ import annotations

from typing import Any

import pytest

import tessera
from tessera.chat.message import Conversation, say
from tessera.engine.batch import FailedItems
from tessera.engine.chat_model import ChatModel
from tessera.engine.pipeline.config import GenerationConfig
from tessera.engine.pipeline.pipe import Pipeline
from tessera.engine.pipeline.prompts import IMAGE_TOKEN
from tests.engine import tiny
from tests.serve.served import nano

SHORT = GenerationConfig(max_new_tokens=6)
RED, BLUE = tiny.picture(1, 64, 64), tiny.picture(2, 128, 64)


@pytest.fixture(scope="module")
def model() -> ChatModel:
    return nano()


@pytest.fixture
def pipe(model: ChatModel) -> Pipeline:
    return Pipeline(model)


def said(model: ChatModel, question: Any, *more: Any) -> str:
    """What `chat` answers."""
    return model.chat(question, *more, max_new_tokens=6).whole


def test_one_question(pipe: Pipeline, model: ChatModel) -> None:
    """A text; a picture behind or before it; the counts are those of the engine's own call."""
    assert pipe("hello", gen_config=SHORT).text == said(model, "hello")
    for pair in (("describe it", RED), (RED, "describe it"), (f"{IMAGE_TOKEN}\ndescribe it", [RED])):
        response = pipe(pair, gen_config=SHORT)
        assert response.text == said(model, "<image>\ndescribe it", RED)
        (done,) = model.complete([model.prompt("describe it", RED, max_new_tokens=6)])
        counts = response.input_token_len, response.generate_token_len
        assert counts == (done.prompt_tokens, len(done.ids))
        assert (response.token_ids, response.finish_reason, response.index) == (done.ids, done.finish, 0)


def test_a_list_in_order(pipe: Pipeline, model: ChatModel) -> None:
    asked = [("describe it", RED), "hello", (f"A: {IMAGE_TOKEN}\nB: {IMAGE_TOKEN}\nwhich?", [RED, BLUE])]
    found = pipe(asked, gen_config=[SHORT, GenerationConfig(max_new_tokens=2), SHORT])
    assert [one.index for one in found] == [0, 1, 2] and found[1].generate_token_len <= 2
    assert found[0].text == said(model, "describe it", RED)
    assert found[2].text == said(model, "A: <image>\nB: <image>\nwhich?", [RED, BLUE])
    assert pipe(["hello"], gen_config=SHORT)[0].text == pipe("hello", gen_config=SHORT).text
    assert pipe([]) == []


def test_messages_of_the_cards(pipe: Pipeline, model: ChatModel) -> None:
    """Marks in a text are where its pictures stand; `max_dynamic_patch` limits their tiles."""
    text = {"type": "text", "text": f"{IMAGE_TOKEN}{IMAGE_TOKEN}\ndescribe both"}
    shown: list[dict[str, Any]] = [
        {"type": "image", "image": RED, "max_dynamic_patch": 2},
        {"type": "image_data", "image_data": {"data": BLUE, "max_dynamic_patch": 1}},
    ]
    ours = [
        {"type": "image", "image": RED, "max_tiles": 2},
        {"type": "image", "image": BLUE, "max_tiles": 1},
        {"type": "text", "text": "\ndescribe both"},
    ]
    asked = [{"role": "user", "content": [text, *shown]}]
    assert pipe(asked, gen_config=SHORT).text == said(model, [{"role": "user", "content": ours}])
    assert pipe([asked, asked], gen_config=SHORT)[1].text == pipe(asked, gen_config=SHORT).text
    with pytest.raises(ValueError, match=r"messages\[0\]: 2 <IMAGE_TOKEN> for 1 pictures"):
        pipe([{"role": "user", "content": [text, shown[0]]}])


@pytest.mark.parametrize("stream", [False, True])
def test_a_talk_of_several_turns(pipe: Pipeline, model: ChatModel, stream: bool) -> None:
    """Each turn sees all that was shown and said; the picture of a later turn stands in that turn."""
    session = pipe.session()
    expected: list[Any] = []
    for asked in (("describe it", RED), "and now?", ("compare", BLUE)):
        told = pipe.chat(asked, session=session, gen_config=SHORT, stream_response=stream)
        pieces = [piece.text for piece in told] if stream else []
        question, picture = asked if isinstance(asked, tuple) else (asked, None)
        shown = [] if picture is None else [{"type": "image", "image": picture, "max_tiles": 6}]
        expected.append({"role": "user", "content": [*shown, {"type": "text", "text": question}]})
        answer = said(model, Conversation(session.talk.messages[:-1]))
        assert session.response is not None and session.response.text == answer
        assert not stream or "".join(pieces) == answer
        assert session.history[-1] == (asked, answer)
    from tessera.chat.openai import read_messages

    turns = [m for m in session.talk.messages if m.role == "user"]
    texts = [tuple(m.text for m in read_messages([one]).messages)[0] for one in expected]
    assert [turn.text for turn in turns] == texts
    assert [len(Conversation((turn,)).media) for turn in turns] == [1, 0, 1]


def test_a_stream_that_is_left_changes_no_session(pipe: Pipeline) -> None:
    session = pipe.session()
    pieces = pipe.chat("hello", session=session, gen_config=SHORT, stream_response=True)
    next(pieces)
    pieces.close()
    assert session.response is None and session.history == [] and not session.talk.messages
    assert not pipe.model.engine.loop.busy


def test_streams_of_several_questions(pipe: Pipeline) -> None:
    """Joined, the pieces of each are its answer; the last piece says why it ended."""
    asked = ["hello", ("describe it", RED), "a b c"]
    whole = pipe(asked, gen_config=SHORT)
    pieces = list(pipe.stream_infer(asked, gen_config=SHORT))
    for index, answer in enumerate(whole):
        own = [piece for piece in pieces if piece.index == index]
        assert "".join(piece.text for piece in own) == answer.text
        assert [piece.finish_reason for piece in own[:-1]] == [None] * (len(own) - 1)
        assert (own[-1].finish_reason, own[-1].generate_token_len) == (
            answer.finish_reason,
            answer.generate_token_len,
        )
    orders = [piece.index for piece in pieces[:3]]
    assert sorted(orders) == [0, 1, 2], "they come side by side"


def test_defaults_are_those_of_lmdeploy(pipe: Pipeline, model: ChatModel) -> None:
    plain = GenerationConfig()
    assert (plain.max_new_tokens, plain.do_sample, plain.top_k, plain.top_p) == (512, False, 50, 1.0)
    assert (plain.temperature, plain.min_p, plain.repetition_penalty) == (0.8, 0.0, 1.0)
    # As on the cards: without do_sample these change nothing.
    card = GenerationConfig(top_k=40, top_p=0.8, temperature=0.8, max_new_tokens=6)
    assert pipe("hello", gen_config=card).text == said(model, "hello")
    drawn = GenerationConfig(do_sample=True, temperature=1.5, max_new_tokens=8, random_seed=3)
    again = model.chat("hello", do_sample=True, temperature=1.5, top_k=50, seed=3, max_new_tokens=8)
    assert pipe("hello", gen_config=drawn).text == again.whole
    free = drawn.model_copy(update={"random_seed": None})
    assert len({pipe("hello", gen_config=free).text for _ in range(8)}) > 1


def test_what_a_configuration_asks_for(pipe: Pipeline) -> None:
    free = pipe("hello", gen_config=GenerationConfig(max_new_tokens=6, ignore_eos=True))
    first = free.token_ids[0]
    assert (
        first not in pipe("hello", gen_config=SHORT.model_copy(update={"bad_token_ids": (first,)})).token_ids
    )
    ended = pipe("hello", gen_config=GenerationConfig(max_new_tokens=6, stop_token_ids=[first]))
    assert (ended.token_ids, ended.finish_reason) == ((), "stop")
    told = pipe("hello", gen_config=GenerationConfig(max_new_tokens=3, logprobs=2, ignore_eos=True))
    assert told.logprobs is not None and len(told.logprobs) == 3
    assert all(token in best for token, best in zip(told.token_ids, told.logprobs, strict=True))
    word = free.text[1:3]
    cut = pipe("hello", gen_config=GenerationConfig(max_new_tokens=6, ignore_eos=True, stop_words=[word]))
    assert cut.text == free.text[: free.text.index(word)].strip()
    form = {"type": "regex_schema", "regex_schema": "yes|no"}
    held = pipe("hello", gen_config=GenerationConfig(max_new_tokens=9, response_format=form))
    assert held.text in ("yes", "no")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"topk": 3}, "topk = 3: no such setting; did you mean top_k"),
        ({"bad_words": ["x"]}, "give bad_token_ids"),
        ({"output_logits": "all"}, "output_logits = 'all': not offered"),
        ({"n": 2}, "n = 2: only 1"),
        ({"max_new_tokens": "many"}, "max_new_tokens = 'many'"),
        ({"stop_words": "end"}, "stop_words = 'end'"),
    ],
)
def test_mistakes_in_a_configuration(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as told:
        GenerationConfig(**given)
    assert "\n" not in str(told.value)
    assert GenerationConfig(bad_words=None, skip_special_tokens=True) == GenerationConfig()


def test_mistakes_in_questions(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    for asked, message in (
        (3, "prompts: 3 is neither a question nor a list"),
        ((RED, BLUE), "has no text"),
        (["hello", ("x", "no-file.png")], r"items\[1\]: .*no-file.png"),
        (["hello", 3], r"items\[1\]: prompts: 3 is neither"),
    ):
        for call in (pipe, pipe.stream_infer):
            with pytest.raises(ValueError, match=message):
                call(asked)
    with pytest.raises(ValueError, match="gen_config: 1 for 2 prompts"):
        pipe(["a", "b"], gen_config=[SHORT])
    with pytest.raises(ValueError, match="top_p = 3"):
        pipe("a", gen_config=GenerationConfig(top_p=3.0, do_sample=True))
    with pytest.raises(ValueError, match="response_format = .*regex_schema"):
        pipe("a", gen_config=GenerationConfig(response_format={"type": "xml"}))
    monkeypatch.setattr(tessera, "load", lambda *_, **__: pytest.fail("the model was opened"))
    for name in ("backend_config", "chat_template_config"):
        with pytest.raises(ValueError, match=f"{name} = .*leave it out"):
            tessera.pipeline("x", **{name: object()})


def test_an_answer_that_fails_leaves_the_others(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pipe.model.engine.answers

    def broken(rows: Any) -> Any:
        from dataclasses import replace

        for index, done in real(rows):
            yield index, replace(done, fault="not finite", finish="failed") if index == 0 else done

    monkeypatch.setattr(type(pipe.model.engine), "answers", lambda _, rows: broken(rows))
    with pytest.raises(FailedItems, match=r"items\[0\]: not finite") as failed:
        pipe(["a", "b"], gen_config=SHORT)
    assert failed.value.answers[0] is None and failed.value.answers[1].index == 1


def test_the_names_at_the_top() -> None:
    pipe = tessera.pipeline()
    answer = pipe(("how many shapes are there?", RED))
    assert answer.text == tessera.load().chat("how many shapes are there?", RED, max_new_tokens=512).whole
    assert tessera.GenerationConfig is GenerationConfig
    with pipe as same:
        talk = Conversation((say("user", "hello"),))
        assert same(talk, gen_config=SHORT).text == same("hello", gen_config=SHORT).text
