"""The choice of tokens against transformers' processors, against one row at a time, and its probabilities."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    LogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tessera.engine.sampling.choose import Chooser, choose_rows, finite_rows, forbid
from tessera.engine.sampling.cuts import OFF, cut_rows
from tessera.engine.sampling.options import Sampling

SIZE = 80


def rows(seed: int, count: int = 1) -> torch.Tensor:
    return torch.randn(count, SIZE, generator=torch.Generator().manual_seed(seed)) * 4


def slow_scores(
    scores: list[float], sampling: Sampling, prompt: Sequence[int], answer: Sequence[int]
) -> list[float]:
    """One row's scores as they are drawn from, in Python's own numbers, written from the definitions."""
    scores = list(scores)
    for token, amount in sampling.logit_bias:
        scores[token] += amount
    for token in {*prompt, *answer} if sampling.repetition_penalty != 1 else ():
        factor = sampling.repetition_penalty
        scores[token] = scores[token] * factor if scores[token] < 0 else scores[token] / factor
    for token, times in Counter(answer).items():
        scores[token] -= sampling.frequency_penalty * times + sampling.presence_penalty
    if sampling.greedy:
        return scores
    scores = [(score - max(scores)) / sampling.temperature for score in scores]
    if sampling.top_k:
        floor = sorted(scores, reverse=True)[: sampling.top_k][-1]
        scores = [score if score >= floor else OFF for score in scores]
    weights = [math.exp(score) for score in scores]
    chances = [weight / sum(weights) for weight in weights]
    if sampling.top_p < 1:
        above = [sum(c for c, s in zip(chances, scores, strict=True) if s > own) for own in scores]
        scores = [s if better < sampling.top_p else OFF for s, better in zip(scores, above, strict=True)]
    return [s if c >= sampling.min_p * max(chances) else OFF for s, c in zip(scores, chances, strict=True)]


def slow_choice(scores: list[float], sampling: Sampling, point: float) -> int:
    """The token at this point of the cumulative distribution."""
    if sampling.greedy:
        return scores.index(max(scores))
    weights = [math.exp(score) for score in scores]
    left = point * sum(weights)
    for token, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return token
    raise AssertionError("the point lies outside")


SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 1.7]),
    top_k=st.sampled_from([0, 1, 5, 1000]),
    top_p=st.sampled_from([0.05, 0.6, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.02, 0.4, 1.0]),
    repetition_penalty=st.sampled_from([0.8, 1.0, 1.3]),
    presence_penalty=st.sampled_from([-1.0, 0.0, 1.5]),
    frequency_penalty=st.sampled_from([-0.5, 0.0, 0.7]),
    logit_bias=st.sampled_from([(), ((3, 100.0),), ((0, -100.0), (7, 2.5))]),
    seed=st.integers(0, 5),
    logprobs=st.sampled_from([None, 0, 3]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(SAMPLINGS, min_size=1, max_size=6), st.integers(0, 2**16))
def test_rows_are_chosen_as_one_at_a_time(samplings: list[Sampling], seed: int) -> None:
    """Four steps of a mixed batch: every row's token is that of the definitions in Python."""
    prompts = [list(range(row, 60 + row, 3)) for row in range(len(samplings))]
    choosers = [Chooser(s, prompt, SIZE) for s, prompt in zip(samplings, prompts, strict=True)]
    points = [Chooser(s, (), SIZE) for s in samplings]
    answers: list[list[int]] = [[] for _ in samplings]
    for step in range(4):
        scores = rows(seed + step, len(samplings))
        before = scores.clone()
        choices = choose_rows(scores, choosers)
        assert torch.equal(scores, before), "raw scores stay as they are"
        for row, (choice, sampling) in enumerate(zip(choices, samplings, strict=True)):
            shaped = slow_scores(scores[row].double().tolist(), sampling, prompts[row], answers[row])
            point = 0.0 if sampling.greedy else points[row].point()
            assert choice.token == slow_choice(shaped, sampling, point)
            choosers[row].take(choice.token)
            answers[row].append(choice.token)


@settings(max_examples=30, deadline=None)
@given(st.lists(SAMPLINGS, min_size=2, max_size=6), st.integers(0, 2**16))
def test_neighbours_have_no_part(samplings: list[Sampling], seed: int) -> None:
    scores = rows(seed, len(samplings))
    together = choose_rows(scores, [Chooser(s, (1, 2), SIZE) for s in samplings])
    alone = [
        choose_rows(row[None], [Chooser(s, (1, 2), SIZE)])[0]
        for row, s in zip(scores, samplings, strict=True)
    ]
    assert together == alone


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.7),
        Sampling(temperature=1.0, top_k=7),
        Sampling(temperature=1.0, top_k=1000),
        Sampling(temperature=1.0, top_p=0.6),
        Sampling(temperature=1.0, top_p=1e-4),
        Sampling(temperature=1.0, min_p=0.05),
        Sampling(temperature=1.4, top_k=30, top_p=0.8, min_p=0.1, repetition_penalty=1.2),
    ],
)
def test_probabilities_equal_those_of_transformers(sampling: Sampling, seed: int) -> None:
    scores, seen = rows(seed), torch.randint(0, SIZE, (1, 40), generator=torch.Generator().manual_seed(seed))
    steps: list[LogitsProcessor] = [RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)]
    steps.append(TemperatureLogitsWarper(sampling.temperature))
    steps += [TopKLogitsWarper(sampling.top_k)] if sampling.top_k else []
    steps += [TopPLogitsWarper(sampling.top_p), MinPLogitsWarper(sampling.min_p)]
    expected = scores.clone()
    for step in steps:
        expected = step(seen, expected)
    chooser = Chooser(sampling, seen[0].tolist(), SIZE)
    chooser.penalties.apply(scores[0])
    ours = cut_rows(scores / sampling.temperature, [sampling])
    torch.testing.assert_close(ours.softmax(-1), expected.softmax(-1))
    assert torch.equal(ours.isinf(), expected.isinf())


def test_top_p_sorts_all_where_the_best_do_not_reach_it() -> None:
    """Flat scores over more tokens than are looked at first: the border lies beyond them."""
    scores = torch.randn(2, 5000, generator=torch.Generator().manual_seed(1)) * 1e-2
    kept = cut_rows(scores, [Sampling(temperature=1, top_p=0.9), Sampling(temperature=1, top_p=0.001)])
    mass = scores.softmax(-1)
    for row, share in enumerate((0.9, 0.001)):
        inside = mass[row][kept[row] > OFF]
        assert inside.sum() >= share > inside.sum() - inside.min()


def test_draws_follow_the_probabilities() -> None:
    """20,000 draws: every count within five standard deviations; switched-off tokens never come."""
    scores = torch.tensor([[0.0, 1.0, 2.0, -1.0]])
    chooser, draws = Chooser(Sampling(temperature=1.0, top_k=3, seed=1), (), 4), 20_000
    drawn = choose_rows(scores.expand(draws, 4), [chooser] * draws)
    counts = torch.tensor([choice.token for choice in drawn]).bincount(minlength=4)
    share = torch.tensor([0.0, 1.0, 2.0, float("-inf")]).softmax(-1)
    deviation = (draws * share * (1 - share)).sqrt()
    assert counts[3] == 0
    assert ((counts - draws * share).abs() <= 5 * deviation).all()


def test_equal_scores_stay_or_go_together() -> None:
    scores = torch.tensor([[2.0, 1.0, 1.0, 1.0, 0.0]])
    for sampling in (Sampling(temperature=1, top_k=2), Sampling(temperature=1, top_p=0.5)):
        assert (cut_rows(scores, [sampling]) > OFF).tolist() == [[True, True, True, True, False]]


@pytest.mark.parametrize("temperature", [1e-300, 1e-45, 1e-6])
def test_a_tiny_temperature_takes_the_best(temperature: float) -> None:
    """Some clients send 1e-6 for greedy: scores divided by it would overflow, and their softmax be NaN."""
    sampling = Sampling(temperature=temperature, top_p=0.9, seed=4)
    scores = rows(3) * 100
    assert choose_rows(scores, [Chooser(sampling, (), SIZE)])[0].token == int(scores.argmax())


@pytest.mark.parametrize("point", [0.0, 1 - 2**-53])
def test_the_ends_of_the_random_stream_hit_what_is_allowed(
    point: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Chooser, "point", lambda self: point)
    scores = torch.full((1, 64), OFF)
    scores[0, 10:20] = torch.randn(10, generator=torch.Generator().manual_seed(2))
    token = choose_rows(scores, [Chooser(Sampling(temperature=1.3), (), 64)])[0].token
    assert token == (10 if point == 0 else 19)


def test_log_probabilities_are_the_models_own() -> None:
    """Bias, penalties and temperature change the choice, not what is told (OpenAI's meaning)."""
    scores = rows(5, 2)
    plain = Sampling(logprobs=4)
    bent = Sampling(logprobs=0, logit_bias=((9, 100.0),), temperature=0.5)
    first, second = choose_rows(scores, [Chooser(plain, (), SIZE), Chooser(bent, (), SIZE)])
    logs = scores.log_softmax(-1)
    assert first.logprob is not None and second.logprob is not None and second.token == 9
    best = logs[0].topk(4)
    assert first.logprob.top == tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    assert (first.logprob.id, first.logprob.logprob) == first.logprob.top[0]
    assert second.logprob.logprob == logs[1, 9].item() and second.logprob.top == ()
    silent = choose_rows(scores[:1], [Chooser(Sampling(), (), SIZE)])
    assert silent[0].logprob is None


def test_tokens_that_the_vocabulary_has_not_are_refused() -> None:
    for sampling in (Sampling(logit_bias=((SIZE, 1.0),)), Sampling(stop_token_ids=(4, SIZE))):
        with pytest.raises(ValueError, match=f"names token {SIZE}: give ids from 0 to {SIZE - 1}"):
            Chooser(sampling, (), SIZE)
    with pytest.raises(ValueError, match="scores has 2 rows for 1 requests"):
        choose_rows(rows(0, 2), [Chooser(Sampling(), (), SIZE)])


def test_forbidden_rows_cannot_be_chosen() -> None:
    scores = torch.zeros(2, 10)
    scores[:, 3] = 9.0
    scores[:, 8:] = 8.0
    left = forbid(scores, placeholders=(3,), vocabulary=8)
    assert left.argmax(-1).tolist() == [0, 0]
    assert left.data_ptr() == scores.data_ptr(), "a batch's scores are large: no copy"


def test_rows_with_odd_numbers_are_found() -> None:
    scores = rows(1, 3)
    scores[1, 7], scores[2, 9] = float("nan"), float("inf")
    assert finite_rows(scores).tolist() == [True, False, False]
