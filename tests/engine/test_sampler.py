"""The sampler against transformers' processors, and the draw against its probabilities."""

from __future__ import annotations

import pytest
import torch
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tessera.engine.request import Sampling
from tessera.engine.sampler import choose, forbid, make_generator, shape_scores

SIZE = 200


def rows(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(SIZE, generator=generator) * 4
    return scores, torch.randint(0, SIZE, (40,), generator=generator)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.7),
        Sampling(temperature=1.0, repetition_penalty=1.3),
        Sampling(temperature=1.0, top_k=7),
        Sampling(temperature=1.0, top_k=1000),
        Sampling(temperature=1.0, top_p=0.6),
        Sampling(temperature=1.0, top_p=1e-4),
        Sampling(temperature=1.4, top_k=30, top_p=0.8, repetition_penalty=0.8),
    ],
)
def test_scores_equal_transformers(sampling: Sampling, seed: int) -> None:
    scores, seen = rows(seed)
    expected = scores[None]
    if sampling.repetition_penalty != 1:
        expected = RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)(seen[None], expected)
    expected = TemperatureLogitsWarper(sampling.temperature)(seen[None], expected)
    if sampling.top_k:
        expected = TopKLogitsWarper(sampling.top_k)(seen[None], expected)
    if sampling.top_p < 1:
        expected = TopPLogitsWarper(sampling.top_p)(seen[None], expected)
    torch.testing.assert_close(shape_scores(scores, sampling, seen), expected[0], rtol=0, atol=0)


def test_draws_follow_the_probabilities() -> None:
    """20,000 draws: every count within five standard deviations; switched-off tokens never come."""
    scores = torch.tensor([0.0, 1.0, 2.0, -1.0])
    sampling = Sampling(temperature=1.0, top_k=3, seed=1)
    generator, draws = make_generator(sampling), 20_000
    none = torch.zeros(0, dtype=torch.int64)
    counts = torch.zeros(4)
    for _ in range(draws):
        counts[choose(scores, sampling, none, generator)] += 1
    share = torch.tensor([0.0, 1.0, 2.0, float("-inf")]).softmax(-1)
    deviation = (draws * share * (1 - share)).sqrt()
    assert counts[3] == 0
    assert ((counts - draws * share).abs() <= 5 * deviation).all()


def test_forbidden_rows_cannot_be_chosen() -> None:
    scores = torch.zeros(2, 10)
    scores[:, 3] = 9.0
    scores[:, 8:] = 8.0
    left = forbid(scores, image_token_id=3, vocabulary=8)
    assert left.argmax(-1).tolist() == [0, 0]
    assert left.data_ptr() == scores.data_ptr(), "a batch's scores are large: no copy"
