"""Answers under a grammar: every one is whole and valid, and no token that could follow is lost."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.choose import choose_rows
from tessera.engine.sampling.chooser import Chooser, Choosers
from tessera.engine.sampling.constraints import Grammars, TokenTable
from tessera.engine.sampling.grammar import Grammar
from tessera.engine.sampling.options import Sampling, read_sampling
from tests.engine import tiny
from tests.engine.sampling.schemas import SCHEMAS, fits

STOPS = frozenset({tiny.tokenizer().token_id("<|im_end|>"), tiny.tokenizer().token_id("<|endoftext|>")})
MAKER = Choosers(tiny.tokenizer(), STOPS)
MOST = 600
REAL = ("internvl3", "internlm2_internvl2", "llama2")
NUMBER = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["n"],
    "additionalProperties": False,
}


def say_something(chooser: Chooser, tokenizer: Tokenizer, ends: frozenset[int], seed: int) -> str:
    """An answer from a model whose scores are noise."""
    noise = torch.Generator().manual_seed(seed)
    said = b""
    for _ in range(MOST):
        (chosen,) = choose_rows(torch.randn(1, tokenizer.vocab_size, generator=noise) * 3, [chooser])
        assert not chosen.fault
        if chosen.token in ends:
            return said.decode()
        chooser.take(chosen.token)
        said += tokenizer.written[chosen.token]
        if chooser.finish == "stop":
            return said.decode()
    raise AssertionError(f"no end after {MOST} tokens: {said!r}")


@settings(max_examples=40, deadline=None)
@given(SCHEMAS, st.integers(0, 2**16), st.sampled_from([0.0, 1.0]))
def test_every_answer_parses_and_validates(schema: dict[str, Any], seed: int, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, seed=seed, grammar=Grammar(json_schema=schema))
    answer = say_something(MAKER.chooser(sampling, ()), tiny.tokenizer(), STOPS, seed)
    assert fits(json.loads(answer), schema), (answer, schema)


@pytest.mark.parametrize("name", REAL)
def test_real_tokenizers_write_valid_answers(shared_data: Any, name: str) -> None:
    """Byte-level and SentencePiece kinds; special tokens never appear inside an answer."""
    tokenizer = load_tokenizer(shared_data / "tokenizers" / name).with_added()
    ends = frozenset({tokenizer.token_id("</s>" if tokenizer.has_token("</s>") else "<|im_end|>")})
    schema = {
        "type": "object",
        "properties": {"größe 🙂": {"type": "string", "maxLength": 6}, "n": {"enum": [1, 22, "e\u0301"]}},
        "required": ["größe 🙂", "n"],
        "additionalProperties": False,
    }
    maker = Choosers(tokenizer, ends)
    for seed in range(2):
        chooser = maker.chooser(Sampling(grammar=Grammar(json_schema=schema)), ())
        value = json.loads(say_something(chooser, tokenizer, ends, seed))
        assert set(value) == {"größe 🙂", "n"} and value["n"] in (1, 22, "e\u0301")


def test_all_that_may_follow_is_allowed_and_nothing_else() -> None:
    """Choices by brute force: a token may come if some choice goes on with its bytes."""
    choices = ("red", "reddish brown", "green", "größe 🙂", 'a "b"\\\n')
    tokenizer, special = tiny.tokenizer(), {t.id for t in tiny.tokenizer().added.values()}
    for choice in choices:
        guide, said = Grammars(tokenizer, STOPS).guide(Grammar(choices=choices)), b""
        while said != choice.encode():
            texts = [c.encode() for c in choices if c.encode().startswith(said)]
            could = {
                i
                for i, piece in enumerate(tokenizer.written)
                if piece and i not in special and any(text[len(said) :].startswith(piece) for text in texts)
            } | (set(STOPS) if said in texts else set())
            allowed = set(np.flatnonzero(guide.allowed()).tolist())
            # Where only one text can follow, llguidance takes the tokenizer's own spelling of it.
            assert allowed == could if len(texts) > 1 else allowed and allowed <= could
            left = choice.encode()[len(said) :]
            token = next(i for i in sorted(allowed - STOPS) if left.startswith(tokenizer.written[i]))
            guide.take(token)
            said += tokenizer.written[token]
        assert guide.over or set(np.flatnonzero(guide.allowed()).tolist()) >= STOPS


def test_the_engine_ends_an_answer_where_its_grammar_does() -> None:
    """In one batch with answers that have none; equal to the slow reference."""
    samplings = [
        Sampling(max_new_tokens=400, grammar=Grammar(json_schema=NUMBER)),
        Sampling(max_new_tokens=5),
        Sampling(max_new_tokens=60, grammar=Grammar(regex="[a-f]{3}(, [0-9]+){2};"), temperature=1.2, seed=4),
        Sampling(max_new_tokens=60, grammar=Grammar(choices=("yes", "no")), logprobs=2),
        Sampling(max_new_tokens=2, grammar=Grammar(regex="x{50}")),
        Sampling(max_new_tokens=400, grammar=Grammar(json_schema=NUMBER), begun='{"n"'),
    ]
    prompts = tiny.mixed_prompts()
    done = Engine(tiny.model(), tiny.tokenizer(), STOPS).generate(prompts, samplings)
    for prompt, sampling, answer in zip(prompts, samplings, done, strict=True):
        slow = generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, prompt, sampling)
        assert (answer.ids, answer.text, answer.finish) == (slow.ids, slow.text, slow.finish)
    assert [answer.finish for answer in done[2:]] == ["stop", "stop", "length", "stop"]
    assert done[0].finish == "stop"
    assert 0 <= json.loads(done[0].text)["n"] < 100 and 0 <= json.loads(done[5].text)["n"] < 100
    assert re.fullmatch("[a-f]{3}(, [0-9]+){2};", done[2].text) and done[3].text in ("yes", "no")


@pytest.mark.parametrize(
    ("grammar", "told"),
    [
        ({}, "grammar = nothing: give one of json_schema, regex, choices"),
        ({"regex": "a", "choices": ["b"]}, "grammar = regex, choices: give one of"),
        ({"choices": ["a", ""]}, "grammar.choices: one is empty"),
        ({"json_schema": "{'a': 1}"}, "grammar.json_schema = .*not JSON"),
        ({"json_schema": "[1]"}, r"grammar.json_schema = '\[1\]': give an object"),
        ({"schema": {}}, "grammar.schema: Extra inputs"),
    ],
)
def test_what_is_no_grammar_is_told_when_it_is_read(grammar: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_sampling({"grammar": grammar})


@pytest.mark.parametrize(
    ("grammar", "told"),
    [
        (Grammar(regex="(ab"), "grammar: .*unclosed group.*; correct it"),
        (Grammar(regex="(?=a)b"), "look-around.* is not supported"),
        (Grammar(json_schema={"type": "foo"}), "grammar: Invalid type: foo; correct it"),
        (Grammar(json_schema={"$ref": "http://elsewhere/x"}), "grammar: Resource 'http://elsewhere/x'"),
        (Grammar(json_schema={"not": {"type": "string"}}), 'grammar: Unimplemented keys: ."not".'),
    ],
)
def test_what_cannot_be_followed_is_told_before_anything_is_computed(grammar: Grammar, told: str) -> None:
    engine = Engine(tiny.model(), tiny.tokenizer(), STOPS)
    with pytest.raises(ValueError, match=told) as caught:
        engine.generate(tiny.mixed_prompts()[:1], Sampling(grammar=grammar))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_words_given_that_do_not_fit_are_told() -> None:
    with pytest.raises(ValueError, match="the answer begins with 'maybe', which the grammar does not allow"):
        MAKER.chooser(Sampling(grammar=Grammar(choices=("yes", "no")), begun="maybe"), ())
    with pytest.raises(ValueError, match="ignore_eos: an answer with a grammar ends"):
        Sampling(grammar=Grammar(regex="a"), ignore_eos=True)


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(ValueError, match=r"pip install 'tessera-vl\[json\]'"):
        Choosers(tiny.tokenizer(), STOPS).chooser(Sampling(grammar=Grammar(regex="a")), ())


def test_white_space_has_an_end() -> None:
    """Small models write it for ever where JSON allows it: a space, or a line and its indent, is enough."""
    grammar = Grammar(json_schema={"type": "array", "items": {"type": "null"}})
    for begun, most in (("[", 1), ("[\n", 32)):
        guide = Grammars(tiny.tokenizer(), STOPS).guide(grammar)
        space, *_ = tiny.tokenizer().encode_plain(" ")
        for token in tiny.tokenizer().encode_plain(begun):
            guide.take(token)
        count = 0
        while guide.allowed()[space]:
            guide.take(space)
            count += 1
        assert count == most


def test_a_grammar_that_fails_on_the_way_ends_its_own_request_alone() -> None:
    """The guide's parser gives up at its limits; here a token that never fitted does the same."""
    broken = MAKER.chooser(Sampling(grammar=Grammar(choices=("yes", "no"))), ())
    broken.take(tiny.tokenizer().encode_plain("x")[0])
    whole = MAKER.chooser(Sampling(), ())
    failed, fine = choose_rows(torch.randn(2, tiny.tokenizer().vocab_size), [broken, whole])
    assert failed.fault.startswith("grammar: ") and not fine.fault and broken.finish is None


def test_a_text_that_the_tokenizer_would_change_is_spelled_as_it_is() -> None:
    r"""NFC makes one character of "e\u0301"; a mask made from that would allow what the grammar does not."""
    table = TokenTable(tiny.tokenizer(), STOPS)
    for text in ("e\u0301", "the red", "<|im_end|>", "🙂"):
        ids = table(text)
        assert b"".join(table.tokens[i] for i in ids) == text.encode() and not set(ids) & set(
            table.special_token_ids
        )
