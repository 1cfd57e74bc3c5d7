"""Several answers behind one prompt: the ids of each are those that it has alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Image, Message, Text, ask, say
from tessera.chat.positions import branched_positions, v2pe_positions
from tessera.chat.render import MediaSpan, render
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.imaging.grid import Tiling
from tests.chat.cases import PAIRS

Get = Callable[[str], Tokenizer]
QUESTION = Message("user", (Image("picture"), Text("\nHow many?\nCount first.")))
EARLIER = (say("system", "Be brief."), say("user", "Hi"), say("assistant", "Hello."))
ANSWERS = [
    ("Two are red.\nFinal answer: 2", "Three.\nFinal answer: 3"),
    ("4", "4."),
    ("Yes", "Yes, and no"),
    ("\nA line break first", "None first"),
    ("\n\nTwo of them", "\nOne"),
    (" leading space", "leading space"),
    ("  two spaces", "\ttab", "\r\nreturn", "plain"),
    ("：全角", "，逗号", "一只。"),
    ("🙂", "🙃", "é", "\u0301combining"),
    (": colon", "assistant", "\u200bhidden", "1", "12"),
]


def pair(answers: Sequence[str], before: tuple[Message, ...] = ()) -> Conversation:
    first, *others = (say("assistant", text) for text in answers)
    return Conversation((*before, QUESTION, first), tuple(others))


@pytest.mark.parametrize("answers", ANSWERS, ids=range(len(ANSWERS)))
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_every_answer_has_the_ids_that_it_has_alone(
    name: str, kind: str, answers: tuple[str, ...], real_tokenizer: Get
) -> None:
    tokenizer, template, spans = real_tokenizer(kind), TEMPLATES[name], [MediaSpan((2,))]
    talk = pair(answers)
    sides = [render(side, template, tokenizer, spans, 3).arrays() for side in talk.each_answer()]
    if len({side[0].tobytes() for side in sides}) < len(sides):  # white space that the template drops
        with pytest.raises(ValueError, match=r"alternatives\[0\]: the same answer as the last message"):
            render(talk, template, tokenizer, spans, 3)
        return
    found = render(talk, template, tokenizer, spans, 3)
    ids, weights = found.arrays()
    prompt = len(ids) - sum(found.branches)
    starts = np.cumsum([prompt, *found.branches])
    assert len(found.branches) == len(answers)
    for (wanted, weighed), start, end in zip(sides, starts[:-1], starts[1:], strict=True):
        assert [*ids[:prompt], *ids[start:end]] == wanted.tolist()
        assert [*weights[:prompt], *weights[start:end]] == weighed.tolist()
    assert not weights[:prompt].any()
    asked = render(Conversation((QUESTION,)), template, tokenizer, spans, 3, generate=True)
    if not any(text[0].isspace() for text in answers):
        assert ids[:prompt].tolist() == asked.ids, "the prompt is what a model is asked"


def test_a_token_of_the_prompt_that_an_answer_changes_is_not_shared(real_tokenizer: Get) -> None:
    r"""Qwen's vocabulary has `\n\n`: behind `assistant\n` an answer that begins with a line break gets it."""
    tokenizer, template = real_tokenizer("internvl3"), TEMPLATES["internvl2_5"]
    found = render(pair(("\nbroken", "plain")), template, tokenizer, [MediaSpan((1,))], 3)
    prompt = len(found.ids) - sum(found.branches)
    merged, line = tokenizer.encode_plain("\n\n", 0)[0], tokenizer.encode_plain("\n", 0)[0]
    first, second = found.ids[prompt], found.ids[prompt + found.branches[0]]
    assert (first, second) == (merged, line)
    weights = found.arrays()[1]
    assert weights[prompt] == weights[prompt + found.branches[0]] == 0, "the official mask leaves them out"
    assert weights[prompt + 1] == weights[prompt + found.branches[0] + 1] == 1


def test_earlier_answers_belong_to_the_prompt(real_tokenizer: Get) -> None:
    tokenizer, template = real_tokenizer("internvl3"), TEMPLATES["internvl2_5"]
    found = render(pair(("yes", "no"), EARLIER), template, tokenizer, [MediaSpan((1,))], 3)
    said = [tokenizer.decode(found.ids[a:b], skip_special=False) for a, b in found.spans]
    assert said == ["yes<|im_end|>", "no<|im_end|>"]


BAD = [
    (("yes", "yes"), "alternatives[0]: the same answer as the last message"),
    (("yes", "no", "no"), "alternatives[1]: the same answer as alternatives[0]"),
    (("yes", " "), "alternatives[0]: one of several answers is empty (' ')"),
    (("\n", "no"), "messages[1]: one of several answers is empty"),
]


@pytest.mark.parametrize(("answers", "words"), BAD)
def test_answers_that_are_none(answers: tuple[str, ...], words: str, real_tokenizer: Get) -> None:
    with pytest.raises(ValueError) as caught:
        render(pair(answers), TEMPLATES["internvl2_5"], real_tokenizer("internvl3"), [MediaSpan((1,))])
    assert words in str(caught.value)


def test_what_can_not_have_alternatives(real_tokenizer: Get) -> None:
    tokenizer, template, other = real_tokenizer("internvl3"), TEMPLATES["internvl2_5"], say("assistant", "no")
    asked = Conversation((ask("Hi?"),), (other,))
    with pytest.raises(ValueError, match=r"alternatives: a prompt to be answered has none"):
        render(asked, template, tokenizer, generate=True)
    with pytest.raises(ValueError, match=r"messages\[0\]: each of several answers is a trained turn"):
        render(asked, template, tokenizer)
    untrained = Message("assistant", (Text("no"),), trained=False)
    with pytest.raises(ValueError, match=r"alternatives\[0\]: each of several answers is a trained turn"):
        render(Conversation((ask("Hi?"), say("assistant", "yes")), (untrained,)), template, tokenizer)
    picture = Message("assistant", (Image("a.png"),))
    with pytest.raises(ValueError, match=r"alternatives\[0\].parts: an answer holds media"):
        render(Conversation((ask("Hi?"), say("assistant", "yes")), (picture,)), template, tokenizer)


def test_the_encoder_measures_what_it_encodes(real_tokenizer: Get) -> None:
    encoder = Encoder(real_tokenizer("internvl3"), TEMPLATES["internvl2_5"], Tiling(tile_side=28), 4)
    picture = PIL.Image.new("RGB", (90, 30))
    talk = Conversation((ask("How many?", [picture]), say("assistant", "2")), (say("assistant", "3"),))
    encoded, alone = encoder.encode(talk), [encoder.encode(side) for side in talk.each_answer()]
    lengths = encoder.measure(talk)
    assert (lengths.tokens, lengths.tiles) == (len(encoded.ids), len(encoded.tiles))
    assert lengths.trained == encoded.weights.sum() == sum(side.weights.sum() for side in alone)
    prompt = len(encoded.ids) - sum(encoded.branches)
    assert [prompt + tokens for tokens in encoded.branches] == [len(side.ids) for side in alone]
    assert len(encoded.tiles) == len(alone[0].tiles), "pictures stand once"
    assert alone[0].branches == ()


@pytest.mark.parametrize("increments", [1.0, 0.25, [0.5, 1 / 64]])
def test_positions_of_every_answer_start_where_the_prompt_ended(increments: float | list[float]) -> None:
    head, one, two = [1, 9, 9, 9, 2, 9, 9, 2, 2], [3, 3, 3], [4, 4]
    found = branched_positions(np.array(head + one + two), (3, 2), 9, increments)
    prompt = len(head)
    for answer, start in ((one, prompt), (two, prompt + len(one))):
        alone = v2pe_positions(np.array(head + answer), 9, increments)
        assert found[:prompt].tolist() == alone[:prompt].tolist()
        assert found[start : start + len(answer)].tolist() == alone[prompt:].tolist()
    plain = branched_positions(np.array(head), (), 9, increments)
    assert plain.tolist() == v2pe_positions(np.array(head), 9, increments).tolist()


def test_parts_are_changed_in_every_message() -> None:
    talk = pair(("yes", "no")).map_parts(lambda p: Text(p.text.upper()) if isinstance(p, Text) else p)
    assert [answer.text for answer in talk.answers] == ["YES", "NO"]
    assert [side.messages[-1].text for side in talk.each_answer()] == ["YES", "NO"]
    assert Conversation(talk.messages).answers == ()
