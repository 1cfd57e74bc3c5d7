"""The random-prompt check notices what a conversion can get wrong, and nothing else."""

from __future__ import annotations

import copy

import pytest
import torch

from tessera.checkpoints.conversion.agreement import WORDS, Agreement, compare, probe, random_prompt
from tessera.models.vlm import VLM
from tests.engine import tiny


def changed(name: str) -> VLM:
    """The tiny model with one number of one weight moved."""
    model = copy.deepcopy(tiny.model())
    with torch.no_grad():
        model.get_parameter(name).view(-1)[0] += 1.0
    return model


def agreement(other: VLM, seed: int = 0) -> Agreement:
    """Of the tiny model and another."""
    return compare(*(probe(model, tiny.tokenizer(), seed) for model in (tiny.model(), other)))


def test_a_model_agrees_with_itself() -> None:
    found = agreement(copy.deepcopy(tiny.model()), seed=1)
    assert found.exact and found.within(0.0) and found.same_greedy == 1.0
    assert found.tokens == WORDS and found.scale > 0.1


@pytest.mark.parametrize(
    "name",
    [
        "vision.embeddings.class_embedding",
        "vision.layers.1.attn.qkv.weight",
        "connector.linear_2.bias",
        "decoder.layers.0.self_attn.k_proj.weight",
        "decoder.layers.1.mlp.down_proj.weight",
        "decoder.lm_head.weight",
    ],
)
def test_every_part_is_asked(name: str) -> None:
    assert not agreement(changed(name), seed=1).exact


def test_a_cast_is_near_but_not_exact() -> None:
    found = agreement(copy.deepcopy(tiny.model()).bfloat16())
    assert not found.exact and found.within(0.1) and not found.within(1e-4)


def test_the_prompt_follows_from_the_seed() -> None:
    ids, tile = random_prompt(tiny.model(), tiny.tokenizer(), 3)
    again, same_tile = random_prompt(tiny.model(), tiny.tokenizer(), 3)
    other, _ = random_prompt(tiny.model(), tiny.tokenizer(), 4)
    assert torch.equal(ids, again) and torch.equal(tile, same_tile) and not torch.equal(ids, other)
    config = tiny.model().config
    assert int((ids == config.image_token_id).sum()) == config.tokens_per_tile
    assert int(ids.max()) < config.decoder.vocab_size and tile.shape == (1, 16, 16, 3)


def test_different_vocabularies_do_not_compare() -> None:
    scores = probe(tiny.model(), tiny.tokenizer())
    with pytest.raises(ValueError, match="different vocabularies"):
        compare(scores, scores[:, :-1])
