"""Any interleaving of arrivals, cancellations, preemptions and shared beginnings, against the slow reference.

The loop is stepped by hand, so that a drawn schedule always runs the same way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.engine.completion import Completion
from tessera.engine.core.limits import EngineLimits
from tessera.engine.core.loop import Loop
from tessera.engine.core.sequence import Sequence
from tessera.engine.core.ticket import Ticket
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.options import Sampling
from tests.engine import tiny

STOPS = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
LENGTHS = (1, 7, 18)
INCREMENTS = (1.0, 1 / 4)
BLOCK = 8


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


@cache
def slowly(prompt: int, length: int, increment: float) -> Completion:
    sampling = Sampling(max_new_tokens=length)
    return generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, prompts()[prompt], sampling, increment)


def engine_of(blocks: int = 400, most: int = 4, tokens: int = 40, tiles: int = 2, guesses: int = 0) -> Engine:
    """The tiny model with so many blocks."""
    config = tiny.family().model.decoder
    token = 2 * config.num_key_value_heads * config.head_width * 4 * config.num_hidden_layers
    limits = EngineLimits(
        cache_bytes=blocks * BLOCK * token,
        block_size=BLOCK,
        tokens_a_step=tokens,
        tiles_a_step=tiles,
        guesses_a_step=guesses,
    )
    return Engine(tiny.model(), tiny.tokenizer(), STOPS, most, limits=limits)


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
    asked: list[tuple[Ticket, int, int, float]] = field(default_factory=list)
    sequences: list[Sequence] = field(default_factory=list)

    def ask(self, prompt: int, length: int, increment: float, owner: str = "") -> None:
        """One more request."""
        sampling = Sampling(max_new_tokens=length)
        sequence = self.engine.sequence(prompts()[prompt], sampling, increment, owner)
        self.sequences.append(sequence)
        self.asked.append((self.engine.loop.submit(sequence), prompt, length, increment))

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
    st.integers(0, 10), st.sampled_from(LENGTHS), st.sampled_from(INCREMENTS), st.sampled_from("ab")
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
    loop = run.engine.loop
    for move in schedule:
        match move:
            case ("cancel", int(which)) if run.asked:
                run.asked[which % len(run.asked)][0].cancel()
            case (int(prompt), int(length), float(increment), str(owner)):
                run.ask(prompt, length, increment, owner)
            case int(steps):
                for _ in range(steps):
                    loop.step()
                    check_books(loop)
    steps = 0
    while loop.step():
        check_books(loop)
        steps += 1
        assert steps < 5000, "nobody gets on"
    check_books(loop)
    run.check()
    assert loop.scheduler.blocks.free == blocks
