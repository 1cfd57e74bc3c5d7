"""GPT-OSS's template against the authors' rules on strings, and answers that come in channels."""

from __future__ import annotations

import itertools

import pytest

from tessera.chat.message import Conversation, Message, Text, ask, say
from tessera.chat.render import Rendered, render
from tessera.chat.templates import THINKING, get_template
from tessera.chat.tokenizer import Tokenizer
from tessera.cli.chat import ChatCommand
from tessera.engine.answer import Answer
from tessera.engine.stream import TextStream
from tests.engine import tiny

MARKS = ("<|start|>", "<|message|>", "<|end|>", "<|return|>", "<|channel|>")
TEMPLATE = get_template("internvl3_5_gpt_oss")
TURNS = ("how many?", "two circles", "and red?", "one", "is it left?", "yes")


def _tokenizer() -> Tokenizer:
    return tiny.tokenizer().with_added(MARKS)


def _official(turns: tuple[str, ...], system: str | None) -> str:
    """`get_prompt` of the authors' class: `sep2` behind the last answer alone."""
    text = "<|start|>system<|message|>" + (TEMPLATE.system_text if system is None else system) + "<|end|>"
    for number, words in enumerate(turns):
        if number % 2 == 0:
            text += f"<|start|>user<|message|>{words}<|end|>"
            continue
        end = "<|return|>" if number == len(turns) - 1 else "<|end|>"
        text += f"<|start|>assistant<|channel|>final<|message|>{words}{end}"
    return text + ("" if len(turns) % 2 == 0 else "<|start|>assistant")


def _render(turns: tuple[str, ...], system: str | None) -> Rendered:
    roles = itertools.cycle(("user", "assistant"))
    said = tuple(Message(role, (Text(words),)) for role, words in zip(roles, turns, strict=False))
    generate = len(turns) % 2 == 1
    return render(Conversation(said), TEMPLATE, _tokenizer(), system_text=system, generate=generate)


@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("system", [None, "", "Think."])
def test_prompts_are_the_authors(count: int, system: str | None) -> None:
    rendered, tokenizer = _render(TURNS[:count], system), _tokenizer()
    written = tokenizer.decode(rendered.ids, skip_special=False)
    assert written == _official(TURNS[:count], system)
    marks = {tokenizer.token_id(mark) for mark in MARKS}
    assert sum(token in marks for token in rendered.ids) == sum(map(written.count, MARKS))


def test_supervised_is_all_behind_the_role() -> None:
    rendered, tokenizer = _render(TURNS[:4], None), _tokenizer()
    trained = [tokenizer.decode(rendered.ids[a:b], skip_special=False) for a, b in rendered.spans]
    lead = "<|channel|>final<|message|>"
    assert trained == [f"{lead}two circles<|end|>", f"{lead}one<|return|>"]


def test_a_thought_is_a_message_of_its_own() -> None:
    rendered = _render(("how many?", "<think>\n1, 2\n</think>\n\ntwo"), None)
    written = _tokenizer().decode(rendered.ids, skip_special=False)
    assert written.endswith(
        "<|start|>assistant<|channel|>analysis<|message|>1, 2<|end|>"
        "<|start|>assistant<|channel|>final<|message|>two<|return|>"
    )


@pytest.mark.parametrize(
    "said, thought, words",
    [
        ("<|channel|>final<|message|>two circles", "", "two circles"),
        (
            "<|channel|>analysis<|message|>1, 2<|end|><|start|>assistant<|channel|>final<|message|>two",
            "1, 2",
            "two",
        ),
        ("<|channel|>analysis<|message|>1, 2 and", "1, 2 and", ""),
        ("plain words", "", "plain words"),
    ],
)
def test_answers_without_their_headers(said: str, thought: str, words: str) -> None:
    tokenizer = _tokenizer()
    stream = TextStream(tokenizer)
    pieces = [
        token
        for piece in tokenizer.split(said)
        for token in ([piece] if isinstance(piece, int) else tokenizer.encode_plain(piece))
    ]
    whole = "".join(stream.push(token) for token in pieces) + stream.flush()
    answer = Answer(whole)
    assert (answer.thought, str(answer)) == (thought, words)
    history = Conversation((ask("how many?"), say("assistant", answer.whole)))
    if thought and words:
        again = render(history, TEMPLATE, tokenizer)
        assert tokenizer.decode(again.ids, skip_special=False).endswith(f"{said}<|return|>")


def test_the_thinking_switch_is_the_published_text() -> None:
    assert THINKING.startswith("You are an AI assistant that rigorously") and THINKING.endswith(
        "thinking section."
    )
    assert "{" not in THINKING and "\n\n2. After the thinking section, provide a clear" in THINKING
    assert ChatCommand(think=True).system_text == THINKING
    with pytest.raises(ValueError, match="--think is a system text of its own"):
        _ = ChatCommand(think=True, system="Be brief.").system_text
