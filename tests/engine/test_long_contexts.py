"""Answers that cross the trained length, with angles that change there."""

from __future__ import annotations

from typing import Any

import pytest

from tessera.engine.core.limits import EngineLimits
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.choose import Chosen
from tessera.engine.sampling.options import Sampling
from tessera.models.vlm import VLM
from tests.engine import tiny

STOPS = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
SAMPLING = Sampling(max_new_tokens=20, temperature=0.7, seed=4)
PROMPT = 2
"""A picture of many tiles."""
TRAINED = len(tiny.mixed_prompts()[PROMPT].ids) + 8


def stretched(trained: int = TRAINED, **scaling: Any) -> VLM:
    """The tiny model with some rope scaling and `trained` positions."""
    config = tiny.family().model
    fields = {"rope_scaling": scaling, "max_position_embeddings": trained}
    decoder = type(config.decoder).model_validate(config.decoder.model_dump() | fields)
    built = VLM(config.model_copy(update={"decoder": decoder})).eval()
    built.load_state_dict(tiny.model().state_dict())
    return built


def longrope() -> VLM:
    half = tiny.family().model.decoder.head_width // 2
    factors = {"short_factor": (1.0,) * half, "long_factor": (8.0,) * half}
    return stretched(kind="longrope", factor=4.0, **factors)


def test_longrope_crosses_as_the_slow_reference() -> None:
    """Phi-3's angles all change at once; a cache kept from before would hold keys turned by the old ones.

    Each prompt crosses at another step, or begins beyond, or stays below: in one batch and alone.
    """
    model, prompts = longrope(), tiny.mixed_prompts()
    engine = Engine(model, tiny.tokenizer(), STOPS)
    got = engine.generate(prompts, SAMPLING)
    assert got == [generate_slowly(model, tiny.tokenizer(), STOPS, prompt, SAMPLING) for prompt in prompts]
    assert engine.generate(prompts[PROMPT : PROMPT + 1], SAMPLING) == got[PROMPT : PROMPT + 1]
    spans = [
        (len(prompt.ids), len(prompt.ids) + len(each.ids)) for prompt, each in zip(prompts, got, strict=True)
    ]
    assert any(start < TRAINED < end for start, end in spans), "nobody crosses"


def test_crossing_is_seen_once_and_only_for_longrope() -> None:
    model = longrope()
    prompt = tiny.mixed_prompts()[PROMPT]
    sequence = Engine(model, tiny.tokenizer(), frozenset()).sequence(prompt, SAMPLING)
    plain = Engine(tiny.model(), tiny.tokenizer(), frozenset()).sequence(prompt, SAMPLING)
    seen = []
    for _ in range(19):
        for each in (sequence, plain):
            each.take(Chosen(5))
        seen.append(sequence.outgrown)
        sequence.restart()
        assert not plain.outgrown
    assert [index for index, crossed in enumerate(seen) if crossed] == [8]


@pytest.mark.parametrize("factor", [2.0, 3.0])
def test_dynamic_ntk_goes_on_beyond_the_trained_length(factor: float) -> None:
    """Alone as in a batch, where neighbours are short; as far as the factor reaches and no further."""
    engine = Engine(stretched(kind="dynamic", factor=factor), tiny.tokenizer(), STOPS)
    prompts = tiny.mixed_prompts()
    together = engine.generate(prompts, SAMPLING)
    for index, prompt in enumerate(prompts):
        assert engine.generate([prompt], SAMPLING) == together[index : index + 1]
    plain = Engine(tiny.model(), tiny.tokenizer(), STOPS).generate(prompts, SAMPLING)
    assert together[PROMPT].ids[:8] == plain[PROMPT].ids[:8], "below the trained length nothing changes"
    assert together[PROMPT].ids != plain[PROMPT].ids
    with pytest.raises(ValueError, match=f"made for {int(TRAINED * factor)} positions"):
        engine.generate([prompts[PROMPT]], Sampling(max_new_tokens=int(TRAINED * factor)))


@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
def test_guesses_keep_the_angles(kind: str) -> None:
    """A guess is turned as its token would have been, and none goes beyond the border between two kinds."""
    model = longrope() if kind == "longrope" else stretched(kind="dynamic", factor=3.0)
    prompts, sampling = tiny.mixed_prompts(), Sampling(max_new_tokens=40)
    plain, guessing = (
        Engine(model, tiny.tokenizer(), frozenset(), limits=EngineLimits(guesses_a_step=count))
        for count in (0, 24)
    )
    assert guessing.generate(prompts, sampling) == plain.generate(prompts, sampling)
    assert guessing.loop.stats().right_tokens > 20
