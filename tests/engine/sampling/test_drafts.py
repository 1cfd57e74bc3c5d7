"""Guesses from what was said before: answers stay the same, whatever chooses them, and steps become fewer."""

from __future__ import annotations

import pytest

from tessera.engine.completion import Completion
from tessera.engine.core.limits import EngineLimits
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.drafts import LONGEST_PAUSE, Drafts
from tessera.engine.sampling.grammar import Grammar
from tessera.engine.sampling.loops import LoopRule
from tessera.engine.sampling.options import Sampling
from tests.engine import tiny

STOPS = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
NEVER = 99
SAMPLINGS = [
    Sampling(max_new_tokens=40, ignore_eos=True, logprobs=1),
    Sampling(max_new_tokens=40, temperature=0.3, seed=2),
    Sampling(max_new_tokens=40, temperature=1.0, top_k=2, seed=3, repetition_penalty=1.1),
    Sampling(max_new_tokens=40, grammar=Grammar(regex="(red circle, ){6}blue")),
    Sampling(max_new_tokens=90, end_loops=LoopRule(tokens=20, times=3, longest=8), ignore_eos=True),
    Sampling(max_new_tokens=33, frequency_penalty=0.1, stop=("e", "2")),
]


def answers(guesses: int) -> tuple[Engine, list[Completion]]:
    engine = Engine(tiny.model(), tiny.tokenizer(), STOPS, limits=EngineLimits(guesses_a_step=guesses))
    return engine, engine.generate(tiny.mixed_prompts(), SAMPLINGS)


def test_answers_stay_the_same_and_steps_become_fewer() -> None:
    """Greedy, drawn, under a grammar, penalised, ended as a loop: the very tokens of the slow reference."""
    (plain, expected), (guessing, done) = answers(0), answers(24)
    for prompt, sampling, one, other in zip(tiny.mixed_prompts(), SAMPLINGS, expected, done, strict=True):
        slow = generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, prompt, sampling)
        assert (one.ids, one.text, one.finish) == (slow.ids, slow.text, slow.finish)
        assert (other.ids, other.text, other.finish) == (slow.ids, slow.text, slow.finish)
        assert [told.id for told in other.logprobs] == [told.id for told in slow.logprobs]
        for told, slower in zip(other.logprobs, slow.logprobs, strict=True):
            assert told.logprob == pytest.approx(slower.logprob, abs=1e-4)
    before, after = plain.loop.stats(), guessing.loop.stats()
    assert before.guessed_tokens == 0 and after.right_tokens > 20
    assert after.steps < before.steps and after.answer_tokens == before.answer_tokens


def test_what_followed_the_same_words_is_guessed() -> None:
    ids = [1, 2, 3, 4, 5, 6, 9, 1, 2, 3]
    drafts = Drafts(ids, {NEVER}, most=16)
    assert drafts.guess(16) == (4, 5, 6, 9)
    assert drafts.guess(2) == (4, 5)
    ids += [4, 5, 7]
    assert drafts.guess(16) == ()
    ids += [8, 1, 2, 3]
    assert drafts.guess(16) == (4, 5, 7, 8), "the last time counts"


def test_what_can_never_be_said_is_not_guessed() -> None:
    ids = [1, 2, 3, 4, NEVER, NEVER, 1, 2, 3]
    assert Drafts(ids, {NEVER}, most=16).guess(16) == (4,)
    assert Drafts([5, 5], {NEVER}, most=16).guess(16) == ()


def test_guesses_grow_while_they_come_true_and_shrink_where_they_do_not() -> None:
    ids = list(range(60)) + list(range(10))
    drafts = Drafts(ids, {NEVER}, most=16)
    for expected in (4, 8, 16, 16):
        guess = drafts.guess(64)
        assert len(guess) == expected
        drafts.told(len(guess), len(guess))
    drafts.told(16, 3)
    assert len(drafts.guess(64)) == 3


def test_where_nothing_comes_true_hardly_anything_is_guessed() -> None:
    """A text that only looks as if it repeated itself: the share of steps with a guess falls towards 1/65."""
    ids = [1, 2, 3, 4] * 3
    drafts = Drafts(ids, {NEVER}, most=16)
    asked = 0
    for _ in range(2000):
        guess = drafts.guess(16)
        drafts.told(len(guess), 0)
        asked += len(guess)
    assert asked < 2000 / LONGEST_PAUSE + 10
    drafts.told(1, 1)
    assert drafts.guess(16), "one that comes true ends the pause"


def test_a_full_cache_leaves_no_room_for_guesses() -> None:
    """Guesses never take blocks that somebody may need; answers come all the same."""
    config = tiny.family().model.decoder
    token = 2 * config.num_key_value_heads * config.head_width * 4 * config.num_hidden_layers
    limits = EngineLimits(cache_bytes=14 * 8 * token, block_size=8, guesses_a_step=24)
    engine = Engine(tiny.model(), tiny.tokenizer(), STOPS, limits=limits)
    prompts, sampling = [tiny.prompt("is"), tiny.prompt("left?")], Sampling(max_new_tokens=30)
    for prompt, done in zip(prompts, engine.generate(prompts, sampling), strict=True):
        slow = generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, prompt, sampling)
        assert done.ids == slow.ids
    assert engine.loop.scheduler.blocks.free == 14
