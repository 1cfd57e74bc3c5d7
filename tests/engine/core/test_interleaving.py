"""Any interleaving of arrivals, cancellations, preemptions and shared beginnings, against the slow reference.

The loop is stepped by hand, so that a drawn schedule always runs the same way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.engine.completion import Completion
from tessera.engine.core.limits import EngineLimits
from tessera.engine.core.loop import Loop
from tessera.engine.core.ticket import Ticket
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.options import Sampling
from tessera.models.vlm import VLM
from tests.engine import tiny
from tests.engine.test_long_contexts import stretched

STOPS = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
LENGTHS = (1, 7, 18)
INCREMENTS = (1.0, 1 / 4)
BLOCK = 8
WHOLE = EngineLimits(tokens_a_step=4000, tiles_a_step=99)
"""A prompt in one piece."""


@cache
def prompts() -> tuple:  # type: ignore[type-arg]
    """Some begin alike: the same words, the same picture, the same words and another picture."""
    first, second = tiny.picture(1), tiny.picture(2, 60, 30)
    return (
        *tiny.mixed_prompts(),
        tiny.prompt("how many circles are there left of the blue square"),
        tiny.prompt("the red circle is left", first),
        tiny.prompt("the red circle?", second),
        tiny.prompt("which", second, first),
        tiny.prompt("which", second, second),
    )


def sampling_of(length: int, warm: bool) -> Sampling:
    drawn = {"temperature": 0.9, "seed": length, "repetition_penalty": 1.2} if warm else {}
    return Sampling.model_validate({"max_new_tokens": length, **drawn})


@cache
def slowly(prompt: int, length: int, increment: float, warm: bool) -> Completion:
    asked, sampling = prompts()[prompt], sampling_of(length, warm)
    return generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, asked, sampling, increment)


def engine_of(
    blocks: int = 400,
    most: int = 4,
    tokens: int = 40,
    tiles: int = 2,
    guesses: int = 0,
    model: VLM | None = None,
) -> Engine:
    """The tiny model, or one like it, with so many blocks."""
    config = tiny.family().model.decoder
    token = 2 * config.num_key_value_heads * config.head_width * 4 * config.num_hidden_layers
    limits = EngineLimits(
        cache_bytes=blocks * BLOCK * token,
        block_size=BLOCK,
        tokens_a_step=tokens,
        tiles_a_step=tiles,
        guesses_a_step=guesses,
    )
    return Engine(model or tiny.model(), tiny.tokenizer(), STOPS, most, limits=limits)


def check_books(loop: Loop) -> None:
    """Every block has as many owners as tables name it, and is either owned, left or empty."""
    blocks, everyone = loop.scheduler.blocks, loop.scheduler.everyone
    owners = Counter(block for sequence in everyone for block in sequence.table)
    assert [owners[block] for block in range(blocks.count)] == blocks._owners
    assert all(len(set(sequence.table)) == len(sequence.table) for sequence in everyone)
    unowned = {block for block in range(blocks.count) if not owners[block]}
    empty = {block for block in unowned if blocks._empty[block]}
    assert unowned - empty == set(blocks._left) and blocks.free == len(unowned) == blocks._empties + len(
        blocks._left
    )


@dataclass
class Run:
    """An engine that is stepped by hand, and what was asked of it."""

    engine: Engine
    asked: list[tuple[Ticket, int, int, float, bool]] = field(default_factory=list)

    def ask(self, prompt: int, length: int, increment: float, warm: bool, owner: str = "") -> None:
        """One more request."""
        sampling = sampling_of(length, warm)
        sequence = self.engine.sequence(prompts()[prompt], sampling, increment, owner)
        self.asked.append((self.engine.loop.submit(sequence), prompt, length, increment, warm))

    def step(self, most: int = 5000) -> None:
        """So many steps, or until all are through."""
        for _ in range(most):
            going = self.engine.loop.step()
            check_books(self.engine.loop)
            if not going:
                return
        assert most < 5000, "nobody gets on"

    def check(self) -> None:
        """All are over, as they would be alone."""
        for ticket, *case in self.asked:
            expected, events = slowly(*case), list(ticket)
            done = ticket.completion()
            assert "".join(event.piece for event in events) == done.text
            assert tuple(token for event in events for token in event.ids) == done.ids
            assert [event.finish for event in events[:-1]] == [None] * (len(events) - 1)
            assert events[-1].finish == done.finish
            if done.finish == "cancelled":
                assert ticket.cancelled and expected.ids[: len(done.ids)] == done.ids
                assert expected.text.startswith(done.text)
            else:
                assert done == expected


asks = st.tuples(
    st.integers(0, 10),
    st.sampled_from(LENGTHS),
    st.sampled_from(INCREMENTS),
    st.booleans(),
    st.sampled_from("ab"),
)
moves = st.one_of(asks, st.integers(0, 9).map(lambda which: ("cancel", which)), st.integers(1, 4))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    schedule=st.lists(moves, min_size=4, max_size=24),
    blocks=st.integers(14, 40),
    most=st.integers(1, 5),
    tokens=st.integers(1, 60),
    tiles=st.integers(1, 3),
    guesses=st.sampled_from([0, 3, 12]),
)
def test_any_schedule_gives_the_answers_of_the_slow_reference(
    schedule: list,
    blocks: int,
    most: int,
    tokens: int,
    tiles: int,
    guesses: int,  # type: ignore[type-arg]
) -> None:
    run = Run(engine_of(blocks, most, tokens, tiles, guesses))
    for move in schedule:
        match move:
            case ("cancel", int(which)) if run.asked:
                run.asked[which % len(run.asked)][0].cancel()
            case (int(prompt), int(length), float(increment), bool(warm), str(owner)):
                run.ask(prompt, length, increment, warm, owner)
            case int(steps):
                run.step(steps)
    run.step()
    run.check()
    assert run.engine.loop.scheduler.blocks.free == blocks


def test_a_schedule_with_everything_in_it() -> None:
    """So that what the drawn ones meet by chance is met for certain."""
    run = Run(engine_of(blocks=22, most=4, tokens=30, tiles=1, guesses=4))
    for prompt in (4, 9, 10, 10, 0, 3):
        run.ask(prompt, 18, 1.0, warm=prompt == 3)
    run.step(4)
    run.asked[2][0].cancel()
    run.step(12)
    for prompt in (8, 1):
        run.ask(prompt, 18, 1 / 4, warm=False)
    run.step()
    run.check()
    stats = run.engine.loop.stats()
    assert stats.preemptions > 1 and stats.reused_tokens > 40 and stats.picture_hits > 0
    assert run.asked[2][0].completion().finish == "cancelled"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
def test_angles_that_follow_the_length(kind: str, seed: int) -> None:
    """Prompts in pieces, sent away and computed again, that cross the trained length on the way.

    longrope: as the slow reference. dynamic: as alone, for what a cache holds differs from the reference.
    """
    half = tiny.family().model.decoder.head_width // 2
    factors = {"short_factor": (1.0,) * half, "long_factor": (8.0,) * half} if kind == "longrope" else {}
    model, draw = stretched(kind=kind, factor=4.0, **factors), Random(seed)
    sampling = Sampling(max_new_tokens=18)
    engine = engine_of(40, 4, tokens=draw.randint(8, 30), tiles=1, model=model)
    order = draw.sample(range(11), 7)
    tickets = {}
    for prompt in order:
        tickets[prompt] = engine.loop.submit(engine.sequence(prompts()[prompt], sampling))
        for _ in range(draw.randint(0, 6)):
            engine.loop.step()
            check_books(engine.loop)
        if running := engine.loop.scheduler.running:
            engine.loop.scheduler._send_away(draw.choice(running))
    for prompt, ticket in tickets.items():
        asked = prompts()[prompt]
        if kind == "longrope":
            assert ticket.completion() == generate_slowly(model, tiny.tokenizer(), STOPS, asked, sampling)
        else:
            whole = Engine(model, tiny.tokenizer(), STOPS, limits=WHOLE)
            assert [ticket.completion()] == whole.generate([asked], sampling)
