"""Sampling as the engine carries it out, against the slow reference."""

from __future__ import annotations

import pytest

from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.options import Sampling
from tests.engine import tiny

STOPS = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
SAMPLINGS = [
    Sampling(max_new_tokens=8, temperature=0.9, min_p=0.02, seed=3),
    Sampling(max_new_tokens=8, frequency_penalty=2, presence_penalty=1, logprobs=2),
    Sampling(max_new_tokens=8, temperature=1.5, top_k=20, top_p=0.9, repetition_penalty=1.2, seed=1),
    Sampling(max_new_tokens=8, logit_bias=((70, 6.0), (5, -100.0)), logprobs=0),
    Sampling(max_new_tokens=8, ignore_eos=True, temperature=2.0),
    Sampling(max_new_tokens=8, stop_token_ids=tuple(range(0, 200, 2)), temperature=1.0),
]


def test_a_mixed_batch_answers_as_the_reference() -> None:
    engine = Engine(tiny.model(), tiny.tokenizer(), STOPS)
    prompts = tiny.mixed_prompts()
    for prompt, sampling, done in zip(prompts, SAMPLINGS, engine.generate(prompts, SAMPLINGS), strict=True):
        slow = generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, prompt, sampling)
        assert (done.ids, done.text, done.finish) == (slow.ids, slow.text, slow.finish)
        told = [] if sampling.logprobs is None else [entry.id for entry in done.logprobs]
        assert told == ([] if sampling.logprobs is None else list(done.ids))
        for fast, slower in zip(done.logprobs, slow.logprobs, strict=True):
            assert fast.logprob == pytest.approx(slower.logprob, abs=1e-4)
            assert [token for token, _ in fast.top] == [token for token, _ in slower.top]


def test_an_unknown_token_is_told_before_anything_is_computed() -> None:
    engine = Engine(tiny.model(), tiny.tokenizer(), STOPS)
    with pytest.raises(ValueError, match="logit_bias names token 100000"):
        engine.generate(tiny.mixed_prompts()[:1], Sampling(logit_bias=((100_000, 1.0),)))


@pytest.mark.parametrize("drawn", [{}, {"temperature": 1.5, "seed": 3}])
def test_no_answer_ends_before_its_least_tokens(drawn: dict[str, float]) -> None:
    """Half of all tokens end an answer; transformers' `min_new_tokens` forbids these until then, too."""
    stops = tuple(range(0, 300, 2))
    engine, prompt = Engine(tiny.model(), tiny.tokenizer(), STOPS), tiny.mixed_prompts()[0]
    least = Sampling(max_new_tokens=12, min_new_tokens=7, stop_token_ids=stops, **drawn)
    (done,) = engine.generate([prompt], least)
    slow = generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, prompt, least)
    assert done.ids == slow.ids and len(done.ids) >= 7
    assert not set(done.ids[:7]) & {*stops, *STOPS}
    (free,) = engine.generate([prompt], least.model_copy(update={"min_new_tokens": 0}))
    assert len(free.ids) < 7, "the case would show nothing"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"min_new_tokens": -1}, "min_new_tokens = -1: give 0 for off"),
        ({"min_new_tokens": 9, "max_new_tokens": 8}, "9: more than max_new_tokens = 8; give fewer"),
    ],
)
def test_least_tokens_that_cannot_be(given: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Sampling(**given)
