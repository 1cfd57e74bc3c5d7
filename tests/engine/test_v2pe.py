"""Visual increments in the engine: equal to the slow reference, in mixed batches, with the cache."""

from __future__ import annotations

import pytest
import torch

from tessera.chat.positions import v2pe_positions
from tessera.engine.core.sequence import Sequence
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.request import place_prompt
from tessera.engine.sampling.chooser import Chooser, Chosen
from tessera.engine.sampling.options import Sampling
from tests.engine import tiny

STOPS = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
SAMPLING = Sampling(max_new_tokens=16)


def engine(max_batch: int = 64) -> Engine:
    return Engine(tiny.model(), tiny.tokenizer(), STOPS, max_batch)


@pytest.mark.parametrize("increment", [1.0, 1 / 2, 1 / 16, 1 / 256])
def test_equals_the_slow_reference(increment: float) -> None:
    got = engine().generate(tiny.mixed_prompts(), SAMPLING, visual_increment=increment)
    for prompt, completion in zip(tiny.mixed_prompts(), got, strict=True):
        slow = generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, prompt, SAMPLING, increment)
        assert completion == slow


def test_increments_matter_and_mix_in_one_batch() -> None:
    """Neighbours with other increments change nothing; another increment does."""
    prompts = [tiny.mixed_prompts()[2]] * 4
    increments = [1.0, 1 / 256, 1 / 4, 1.0]
    together = engine().generate(prompts, SAMPLING, visual_increment=increments)
    alone = [engine().generate(prompts[:1], SAMPLING, visual_increment=each)[0] for each in increments]
    assert together == alone
    assert engine(max_batch=3).generate(prompts, SAMPLING, visual_increment=increments) == alone
    assert len({completion.ids for completion in together}) == 3
    assert "".join(engine().stream(prompts[0], SAMPLING, 1 / 256)) == together[1].text


def test_the_answer_goes_on_from_the_last_prompt_position() -> None:
    prompt = tiny.mixed_prompts()[2]
    positions = torch.from_numpy(v2pe_positions(prompt.ids, tiny.family().model.image_token_id, 1 / 256))
    chooser = Chooser(SAMPLING, (), tiny.tokenizer().vocab_size)
    sequence = Sequence(prompt, positions, chooser, tiny.tokenizer(), tiny.family().model, STOPS)
    assert sequence.positions == positions.tolist() and positions[-1] < len(prompt.ids) - 1
    sequence.take(Chosen(5))
    assert sequence.positions[-2:] == [positions[-1], positions[-1] + 1]
    assert sequence.room == len(prompt.ids) + 16
    placed, room = place_prompt("it", prompt.ids, 1 / 256, 16, tiny.family().model)
    assert placed.equal(positions) and room == 4096 - (positions[-1] + 1)


def test_small_increments_make_room_for_more() -> None:
    """Positions are what the model was made for, not tokens; and only trained increments are taken."""
    prompt = tiny.mixed_prompts()[2]
    answer = Sampling(max_new_tokens=4096 - len(prompt.ids) + 1)
    with pytest.raises(ValueError, match="smaller visual_increment"):
        engine().generate([prompt], answer)
    next(engine().stream(prompt, answer, 1 / 4))
    with pytest.raises(ValueError, match=r"visual_increment = 0.3: give 1 \(ordinary positions\) or 1/2"):
        engine().generate([prompt], SAMPLING, visual_increment=0.3)
    with pytest.raises(ValueError, match="visual_increment has 2 entries for 1 prompts"):
        engine().generate([prompt], SAMPLING, visual_increment=[1.0, 0.5])
