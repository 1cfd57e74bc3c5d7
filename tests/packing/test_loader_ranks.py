"""Several ranks and restarts: together they see every sample once, whatever stops and starts in between."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.packing.config import PackingConfig
from tessera.packing.loader import PackLoader
from tessera.packing.pack import Pack
from tessera.packing.planning.balance import Work
from tessera.records.source import WeightedSource
from tests.records.doubles import ListSource, SizedEncoder

Lengths = tuple[tuple[int, int], ...]
STEP = 4
WORK = Work(tile=50.0, token=1.0, pair=0.01)


def lengths() -> st.SearchStrategy[Lengths]:
    return st.lists(st.tuples(st.integers(2, 64), st.integers(0, 9)), min_size=1, max_size=50).map(tuple)


def loaders(
    records: Lengths, world: int, indexed: bool, state: dict[str, Any] | None = None, **changes: Any
) -> list[PackLoader]:
    """One loader for each rank, all at the same place."""
    stamp = repr(records) if indexed else None
    config = PackingConfig(max_tokens=64, max_tiles=9, epochs=2, lookahead=9, window=9, **changes)
    made = []
    for rank in range(world):
        source = WeightedSource(ListSource(records, "list", stamp=stamp))
        made.append(PackLoader([source], SizedEncoder(), config, rank, world, STEP, WORK))
        if state is not None:
            made[-1].load_state_dict(json.loads(json.dumps(state)))
    return made


def step(ranks: list[PackLoader]) -> list[list[Pack]] | None:
    """The next step of all ranks; None when all say that nothing is left."""
    taken = []
    for loader in ranks:
        try:
            taken.append(loader.next_step())
        except StopIteration:
            taken.append(None)
    if None in taken:
        assert set(map(type, taken)) == {type(None)}, "some ranks end before others"
        return None
    return taken


@settings(max_examples=80, deadline=None)
@given(
    lengths(),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from([1, 2, 4])), max_size=4),
    st.sampled_from([1, 2, 4]),
    st.booleans(),
    st.booleans(),
)
def test_every_sample_twice_in_two_epochs_over_ranks_and_restarts(
    records: Lengths, restarts: list[tuple[int, int]], last: int, indexed: bool, similar: bool
) -> None:
    """After so many steps the run is killed and goes on with another number of ranks."""
    keys: Counter[str] = Counter()
    state: dict[str, Any] | None = None
    for steps, world in [*restarts, (10_000, last)]:
        ranks = loaders(records, world, indexed, state, similar_steps=similar)
        for _ in range(steps):
            taken = step(ranks)
            if taken is None:
                break
            keys.update(key for packs in taken for pack in packs for key in pack.keys)
        states = [loader.state_dict() for loader in ranks]
        assert all(other == states[0] for other in states), "the state depends on the rank"
        state = states[0]
    assert keys == Counter({f"list:{number}": 2 for number in range(len(records))})


@settings(max_examples=40, deadline=None)
@given(lengths(), st.integers(0, 6), st.booleans())
def test_a_step_holds_the_same_packs_for_any_number_of_ranks(
    records: Lengths, at: int, indexed: bool
) -> None:
    steps = []
    for world in (1, 2, 4):
        ranks = loaders(records, world, indexed)
        taken = [step(ranks) for _ in range(at + 1)][-1]
        steps.append(taken and sorted(pack.keys for packs in taken for pack in packs))
        if taken and len(steps[-1]) == STEP:
            assert {len(packs) for packs in taken} == {STEP // world}
    assert steps[0] == steps[1] == steps[2]


def test_ranks_count_what_all_of_them_got() -> None:
    records = tuple((5 + number % 50, number % 7) for number in range(60))
    ranks = loaders(records, 2, True)
    packs = [pack for _ in range(3) for packs in step(ranks) or [] for pack in packs]
    assert ranks[0].stats == ranks[1].stats
    assert ranks[0].stats.packs == len(packs) == 3 * STEP
    assert ranks[0].stats.tokens == sum(sum(pack.lengths) for pack in packs)
    assert ranks[0].stats.trained == sum(sum(pack.trained) for pack in packs)
    assert ranks[0].stats.waited > 0


def test_packs_of_a_step_are_dealt_by_work() -> None:
    """Texts beside pictures: by turns, one rank would get more of what is slow."""
    records = tuple((60, 9 * (number % 2)) for number in range(64))
    ranks = loaders(records, 2, True)
    for _ in range(5):
        taken = step(ranks)
        assert taken is not None
        first, second = (sorted(len(pack.tiles) for pack in packs) for packs in taken)
        assert abs(sum(first) - sum(second)) <= 9


def test_a_state_inside_a_step_needs_the_same_number_of_ranks() -> None:
    (loader,) = loaders(((30, 2),) * 40, 1, True)
    next(loader)
    state = loader.state_dict()
    resumed = loaders(((30, 2),) * 40, 1, True, state)[0]
    assert next(resumed).keys == next(loader).keys
    with pytest.raises(ValueError, match="inside a step of 1 ranks; resume with as many"):
        loaders(((30, 2),) * 40, 2, True, state)


def test_steps_must_be_shared_evenly() -> None:
    source = [WeightedSource(ListSource(((30, 2),)))]
    with pytest.raises(ValueError, match="packs_per_step = 3 can't be shared by 2 ranks"):
        PackLoader(source, SizedEncoder(), PackingConfig(), 0, 2, packs_per_step=3)
    with pytest.raises(ValueError, match="rank 2 of 2 ranks"):
        PackLoader(source, SizedEncoder(), PackingConfig(), 2, 2)
