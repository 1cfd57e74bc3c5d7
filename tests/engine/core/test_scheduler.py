"""Who is served when: short chats beside long pictures, owners in turn, and who gives up its blocks."""

from __future__ import annotations

from tessera.chat.encoder import Encoded
from tessera.engine.core.scheduler import even_shares
from tessera.engine.core.sequence import Sequence
from tessera.engine.core.ticket import Ticket
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tests.engine import tiny
from tests.engine.core.test_interleaving import engine_of


def long_prompt() -> Encoded:
    """Forty tiles and more."""
    return tiny.prompt("what?", *(tiny.picture(50 + number) for number in range(42)))


def short_prompt(number: int) -> Encoded:
    """One tile of its own."""
    return tiny.prompt("what?", tiny.picture(200 + number))


def submit(engine: Engine, prompt: Encoded, length: int = 1, owner: str = "") -> tuple[Sequence, Ticket]:
    sampling = Sampling(max_new_tokens=length, ignore_eos=True)
    sequence = engine.sequence(prompt, sampling, owner=owner)
    return sequence, engine.loop.submit(sequence)


def test_shares_are_even_and_nothing_is_left_over() -> None:
    assert even_shares(100, [10, 500, 20], 1) == [10, 70, 20]
    assert even_shares(100, [500, 500, 500], 16) == [33, 33, 34]
    assert even_shares(20, [500, 500, 500], 16) == [20, 0, 0], (
        "a block for the first rather than none for all"
    )
    assert even_shares(0, [5, 0], 16) == [5, 0], "whoever is first goes on in any case"
    assert even_shares(4, [0, 3, 0], 1) == [0, 3, 0]


def test_a_short_chat_is_not_held_up_by_forty_tiles() -> None:
    engine = engine_of(most=8, tokens=64, tiles=2)
    long, _ = submit(engine, long_prompt())
    assert len(long.prompt.tiles) >= 40
    engine.loop.step()
    short, ticket = submit(engine, tiny.prompt("is"), length=5)
    for _ in range(5):
        engine.loop.step()
    assert ticket.over and long.remaining > 1
    picture, ticket = submit(engine, short_prompt(0))
    for _ in range(3):
        engine.loop.step()
    assert ticket.over and long.remaining > 1


def test_forty_tiles_are_not_held_up_by_short_chats() -> None:
    """Two new ones with a picture in every step, more than the ViT's share: the long one gets its turn."""
    engine = engine_of(blocks=2000, most=8, tokens=64, tiles=2)
    long, ticket = submit(engine, long_prompt())
    for step in range(400):
        if ticket.over:
            break
        for number in range(2):
            submit(engine, short_prompt(2 * step + number))
        engine.loop.step()
    assert ticket.over, f"{long.remaining} tokens are left after 400 steps"


def test_answers_go_on_beside_a_long_prompt() -> None:
    engine = engine_of(tokens=24, tiles=1)
    _, answering = submit(engine, tiny.prompt("is"), length=30)
    for _ in range(3):
        engine.loop.step()
    submit(engine, long_prompt())
    before = len(answering._events)
    for _ in range(10):
        engine.loop.step()
    assert len(answering._events) == before + 10, "a token in every step"


def test_owners_are_served_in_turn() -> None:
    engine = engine_of(most=1)
    asked = [("ann", 0), ("ann", 1), ("ann", 2), ("bob", 3), ("bob", 4), ("cy", 5)]
    tickets = [submit(engine, tiny.prompt("is"), 1, owner)[1] for owner, _ in asked]
    order: list[int] = []
    while engine.loop.step() or len(order) < len(asked):
        order += [place for place, ticket in enumerate(tickets) if ticket.over and place not in order]
    assert [asked[place][0] for place in order] == ["ann", "bob", "cy", "ann", "bob", "ann"]


def test_the_youngest_gives_up_its_blocks_and_is_first_in_line() -> None:
    engine = engine_of(blocks=12, most=3, tokens=400)
    old, first = submit(engine, tiny.prompt("is"), length=60)
    young, second = submit(engine, tiny.prompt("how many circles"), length=30)
    while not engine.loop.stats().preemptions:
        assert engine.loop.step()
    later, third = submit(engine, tiny.prompt("is"), length=1, owner="another")
    engine.loop.step()
    assert old.table and not young.table and not later.table, "nobody overtakes"
    assert engine.loop.stats().waiting == 2
    engine.loop.until(lambda: second.over)
    assert first.over, "what it waited for"
    engine.loop.until(lambda: third.over)
    alone = engine_of().generate([young.prompt], young.sampling)[0]
    assert second.completion() == alone
