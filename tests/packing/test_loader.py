"""The loader: nothing lost, same packs for any number of workers, resume to the byte."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.chat.encoder import Encoded
from tessera.chat.message import Conversation
from tessera.packing.config import PackingConfig
from tessera.packing.loader import PackLoader
from tessera.packing.pack import Pack
from tessera.packing.planning import window
from tessera.records.faults import DataError, Reason
from tessera.records.source import WeightedSource
from tests.records.doubles import ListSource, SizedEncoder

LENGTHS = tuple((3 + 7 * number % 23, number % 4) for number in range(31))
CONFIG = PackingConfig(max_tokens=64, max_tiles=9, lookahead=8, averaging="token", seed=5)


def make_loader(
    config: PackingConfig = CONFIG,
    endless: bool = True,
    stamp: str | None = None,
    share: tuple[int, int] = (0, 1),
    packs_per_step: int | None = None,
    **changes: Any,
) -> PackLoader:
    """Two sources: the first endless or 31 records; with a stamp, what ends is indexed."""
    sources = [
        WeightedSource(ListSource(LENGTHS, "first", endless=endless, stamp=stamp), weight=3.0),
        WeightedSource(ListSource(LENGTHS[:10], "second", stamp=stamp), weight=1.0, repeat=1.5),
    ]
    config = config.model_copy(update=changes)
    return PackLoader(sources, SizedEncoder(), config, *share, packs_per_step=packs_per_step)


SORTS = pytest.mark.parametrize(("endless", "stamp"), [(True, None), (False, "s"), (True, "s")])
"""Lengths known after encoding; from an index; some of each."""


def contents(pack: Pack) -> tuple[Any, ...]:
    """Everything in a pack, comparable."""
    arrays = (pack.ids.numpy().tobytes(), pack.weights.numpy().tobytes(), pack.tiles.numpy().tobytes())
    return (*arrays, pack.lengths, pack.keys, pack.tiles_per_sample, pack.trained)


def test_an_epoch_gives_every_record_once_and_ends() -> None:
    loader = make_loader(endless=False, epochs=2)
    keys = Counter(key for pack in loader for key in pack.keys)
    assert {keys[f"first:{index}"] for index in range(31)} == {2}
    assert {keys[f"second:{index}"] for index in range(10)} == {3}
    assert keys.total() == 62 + 30
    assert list(loader) == []


def test_a_fraction_takes_another_random_part_in_every_epoch() -> None:
    """The published code keeps the head of the file for repeat_time < 1: the rest is never seen."""
    source = WeightedSource(ListSource(LENGTHS[:10], "only"), repeat=0.5)
    halves = []
    for epochs in (1, 2):
        loader = PackLoader([source], SizedEncoder(), CONFIG.model_copy(update={"epochs": epochs}))
        halves.append({key for pack in loader for key in pack.keys})
    assert len(halves[0]) == 5
    assert len(halves[1]) == 10
    assert halves[0] != {f"only:{index}" for index in range(5)}


def test_weights_decide_how_often_a_source_is_drawn() -> None:
    keys = [key for pack in islice(make_loader(), 300) for key in pack.keys]
    share = sum(key.startswith("first") for key in keys) / len(keys)
    assert 0.7 < share < 0.8


def test_every_rank_knows_the_samples_of_a_step() -> None:
    """A step that stands out is told with its samples, whoever had them."""
    loaders = [make_loader(share=(rank, 2), packs_per_step=4) for rank in (0, 1)]
    for _ in range(3):
        given = sorted(key for loader in loaders for pack in loader.next_step() for key in pack.keys)
        assert [sorted(loader.keys) for loader in loaders] == [given, given]


def test_capacities_and_statistics() -> None:
    loader = make_loader()
    packs = list(islice(loader, 50))
    assert all(sum(p.lengths) <= 64 and sum(p.tiles_per_sample) <= 9 for p in packs)
    assert loader.stats.packs == 50
    assert loader.stats.samples == sum(len(p.lengths) for p in packs)
    assert loader.stats.tokens == sum(len(p.ids) for p in packs)
    assert loader.stats.tiles == sum(len(p.tiles) for p in packs)
    assert loader.stats.trained == sum(sum(p.trained) for p in packs)
    assert loader.stats.token_fill == loader.stats.tokens / (50 * 64)
    assert loader.stats.token_fill > 0.8


def test_nothing_waits_for_ever() -> None:
    """Pairs of 32 fill a pack; a sample of 20 never leaves one full, and is let go all the same."""
    lengths = ((20, 0), *[(32, 0)] * 40)
    source = WeightedSource(ListSource(lengths, "odd", stamp="odd"))
    loader = PackLoader([source], SizedEncoder(), CONFIG.model_copy(update={"window": 9}))
    keys = [key for pack in islice(loader, 250) for key in pack.keys]
    passes = len(keys) // 41
    assert keys.count("odd:0") >= passes - 1 > 5


def test_another_seed_gives_other_packs() -> None:
    assert contents(next(make_loader())) != contents(next(make_loader(seed=6)))


@SORTS
def test_packs_do_not_depend_on_the_number_of_workers(endless: bool, stamp: str | None) -> None:
    expected = [contents(pack) for pack in islice(make_loader(endless=endless, stamp=stamp), 40)]
    for workers in (1, 2):
        with make_loader(endless=endless, stamp=stamp, workers=workers) as loader:
            assert [contents(pack) for pack in islice(loader, 40)] == expected


def test_an_indexed_source_gives_what_it_gives_without_an_index() -> None:
    """Same window, same draws: where lengths come from changes nothing."""
    plain = make_loader(endless=False, epochs=1)
    indexed = make_loader(endless=False, epochs=1, stamp="s", window=8)
    assert [contents(p) for p in plain] == [contents(p) for p in indexed]


def test_workers_decode_only_what_packs_of_their_rank_need(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    encode = SizedEncoder.encode

    def noted(self: SizedEncoder, conversation: Conversation) -> Encoded:
        decoded.append(conversation.messages[0].text)
        return encode(self, conversation)

    monkeypatch.setattr(SizedEncoder, "encode", noted)
    with make_loader(endless=False, stamp="s", share=(1, 4), epochs=1) as loader:
        samples = sum(len(pack.keys) for pack in loader)
    assert len(decoded) == samples
    assert samples < 20 < loader.stats.samples == 46


def test_workers_leave_the_global_random_state_alone() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    with make_loader(workers=1) as loader:
        next(loader)
    assert torch.equal(before, torch.random.get_rng_state())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.booleans(), st.sampled_from([None, "s"]), st.integers(1, 4))
def test_resume_gives_the_same_packs_at_any_step(
    step: int, endless: bool, stamp: str | None, packs_per_step: int
) -> None:
    """Inside a step, too."""
    settings = {"endless": endless, "stamp": stamp, "packs_per_step": packs_per_step}
    settings["epochs"] = None if endless else 4
    loader = make_loader(**settings)
    list(islice(loader, step))
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = make_loader(**settings)
    resumed.load_state_dict(state)
    assert [contents(p) for p in islice(loader, 12)] == [contents(p) for p in islice(resumed, 12)]
    assert loader.stats == resumed.stats
    assert loader.state_dict() == resumed.state_dict()


@SORTS
def test_resume_with_another_number_of_workers(endless: bool, stamp: str | None) -> None:
    with make_loader(endless=endless, stamp=stamp, workers=1) as loader:
        list(islice(loader, 7))
        state = loader.state_dict()
        expected = [contents(pack) for pack in islice(loader, 10)]
    resumed = make_loader(endless=endless, stamp=stamp)
    resumed.load_state_dict(state)
    assert [contents(pack) for pack in islice(resumed, 10)] == expected


def test_rewinding_a_running_loader_with_workers() -> None:
    with make_loader(workers=2) as loader:
        state = loader.state_dict()
        expected = [contents(pack) for pack in islice(loader, 5)]
        loader.load_state_dict(state)
        assert [contents(pack) for pack in islice(loader, 5)] == expected


def test_a_state_of_other_settings_is_refused() -> None:
    state = make_loader().state_dict()
    with pytest.raises(ValueError, match="max_tokens: the saved run had 64, this one has 128"):
        make_loader(max_tokens=128).load_state_dict(state)


def test_a_state_of_another_planner_is_refused() -> None:
    """The rounds of its position hold other packs: some samples would be lost and others repeated."""
    state = make_loader().state_dict()
    state["setup"].pop("planner")
    with pytest.raises(ValueError, match="planner: the saved run had None"):
        make_loader().load_state_dict(state)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_faulty_record_stops_the_run_with_its_place(workers: int) -> None:
    source = WeightedSource(ListSource(LENGTHS, "photos", broken=frozenset({4})))
    config = CONFIG.model_copy(update={"epochs": 1, "workers": workers})
    loader = PackLoader([source], SizedEncoder(), config)
    with loader, pytest.raises(DataError, match=r"photos.jsonl:5: image: missing file"):
        list(loader)


def test_skipping_is_counted_and_named() -> None:
    long = (*LENGTHS[:5], (65, 0))
    source = WeightedSource(ListSource(long, "photos", broken=frozenset({2})))
    loader = PackLoader([source], SizedEncoder(), CONFIG.model_copy(update={"epochs": 1, "on_fault": "skip"}))
    keys = {key for pack in loader for key in pack.keys}
    assert keys == {"photos:0", "photos:1", "photos:3", "photos:4"}
    assert loader.stats.skipped == 2
    assert {(fault.line, fault.reason) for fault in loader.skipped} == {
        (3, Reason.MISSING_FILE),
        (6, Reason.TOO_LONG),
    }


def test_skipping_everything_for_ever_is_an_error() -> None:
    source = WeightedSource(ListSource(LENGTHS[:3], "photos", broken=frozenset(range(3))))
    with pytest.raises(DataError, match="gone.png"):
        next(PackLoader([source], SizedEncoder(), CONFIG.model_copy(update={"on_fault": "skip"})))


@pytest.mark.parametrize("stamp", [None, "all too long"])
def test_dropping_everything_for_ever_is_an_error(stamp: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MOST_WITHOUT_SAMPLE", 50)
    source = WeightedSource(ListSource(((65, 0),) * 3, "photos", stamp=stamp))
    dropping = CONFIG.model_copy(update={"over_long": "drop"})
    with pytest.raises(ValueError, match=r"50 records in a row gave no sample .*64 tokens and 9 tiles"):
        next(PackLoader([source], SizedEncoder(), dropping))
    once = PackLoader([source], SizedEncoder(), dropping.model_copy(update={"epochs": 40}))
    assert list(once) == [] and once.stats.dropped == 120, "a run that ends by itself counts to its end"


def test_a_run_resumed_at_its_end_counts_nothing_twice() -> None:
    """The last round may hold nothing but what is dropped."""
    source = WeightedSource(ListSource(((65, 0),) * 3, "photos"))
    config = CONFIG.model_copy(update={"over_long": "drop", "epochs": 1})
    ended, resumed = (PackLoader([source], SizedEncoder(), config) for _ in range(2))
    assert list(ended) == []
    resumed.load_state_dict(json.loads(json.dumps(ended.state_dict())))
    assert list(resumed) == []
    assert ended.stats.dropped == resumed.stats.dropped == 3


def test_a_sample_longer_than_a_pack_is_named() -> None:
    source = WeightedSource(ListSource(((65, 0),), "photos"))
    with pytest.raises(DataError, match=r"photos.jsonl:1: .*too long \(65 of 64 tokens, 0 of 9 tiles"):
        next(PackLoader([source], SizedEncoder(), CONFIG))


def test_epochs_of_an_endless_source_are_refused() -> None:
    with pytest.raises(ValueError, match="epochs 1: source first is endless"):
        make_loader(epochs=1)


def test_a_share_that_rounds_to_no_record_is_refused() -> None:
    """Otherwise the source is in the manifest but never in the run, and nothing says so."""
    source = WeightedSource(ListSource(LENGTHS[:1], "small"), repeat=0.3)
    with pytest.raises(ValueError, match="small: 1 epochs x repeat 0.3 x 1 records round to none"):
        PackLoader([source], SizedEncoder(), CONFIG.model_copy(update={"epochs": 1}))


def test_sources_need_names_of_their_own_and_records() -> None:
    twice = [WeightedSource(ListSource(LENGTHS)), WeightedSource(ListSource(LENGTHS))]
    with pytest.raises(ValueError, match="names"):
        PackLoader(twice, SizedEncoder(), CONFIG)
    with pytest.raises(ValueError, match="no records"):
        PackLoader([WeightedSource(ListSource(()))], SizedEncoder(), CONFIG)
    with pytest.raises(ValueError, match="at least one source"):
        PackLoader([], SizedEncoder(), CONFIG)
