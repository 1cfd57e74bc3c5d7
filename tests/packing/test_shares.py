"""Shares by tokens: what is asked for is what is given, whatever the lengths; the tally says what was."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest

from tessera.packing.config import PackingConfig
from tessera.packing.delivery import SourceTally
from tessera.packing.loader import PackLoader
from tessera.packing.shares import mean_tokens, weigh_by_tokens
from tessera.records.source import WeightedSource
from tests.records.doubles import ListSource, SizedEncoder

CONFIG = PackingConfig(max_tokens=400, max_tiles=12, lookahead=16, averaging="token", seed=5)
SHORT = tuple((6 + number % 5, 1) for number in range(40))
LONG = tuple((100 + 7 * number % 90, number % 3) for number in range(30))
TEXT = tuple((20 + 11 * number % 60, 0) for number in range(50))
PICTURES = {"short", "long"}


def _sources(stamp: str | None) -> tuple[WeightedSource, ...]:
    """Equal draws would make most tokens long ones."""
    lengths = {"short": SHORT, "long": LONG, "text": TEXT}
    weights = {"short": 3.0, "long": 1.0, "text": 0.3}
    return tuple(
        WeightedSource(ListSource(table, name, stamp=stamp and stamp + name), weight=weights[name])
        for name, table in lengths.items()
    )


def _seen(sources: tuple[WeightedSource, ...], packs: int = 120, **changes: Any) -> dict[str, SourceTally]:
    loader = PackLoader(sources, SizedEncoder(), CONFIG.model_copy(update=changes))
    delivered = list(islice(loader, packs))
    assert sum(tally.tokens for tally in loader.stats.seen.values()) == loader.stats.tokens
    for name, tally in loader.stats.seen.items():
        keys = [(p, i) for p in delivered for i, key in enumerate(p.keys) if key.startswith(f"{name}:")]
        assert tally.samples == len(keys)
        assert tally.tokens == sum(pack.lengths[i] for pack, i in keys)
        assert tally.tiles == sum(pack.tiles_per_sample[i] for pack, i in keys)
        assert tally.trained == sum(pack.trained[i] for pack, i in keys)
    return loader.stats.seen


@pytest.mark.parametrize("stamp", ["s", None])
def test_one_part_text_to_three_of_pictures(stamp: str | None) -> None:
    """InternVL3's mixture, with an index and without; inside a group the draws stay as they were."""
    groups = [(1.0, {"text"}), (3.0, PICTURES)]
    plain = _seen(_sources(stamp))
    assert plain["text"].tokens < 0.1 * sum(tally.tokens for tally in plain.values())
    seen = _seen(weigh_by_tokens(_sources(stamp), groups, SizedEncoder(), CONFIG))
    total = sum(tally.tokens for tally in seen.values())
    assert seen["text"].tokens / total == pytest.approx(0.25, abs=0.02)
    assert seen["short"].samples / seen["long"].samples == pytest.approx(3, rel=0.15)


def test_means_by_hand() -> None:
    sources = {entry.source.name: entry for entry in _sources("m")}
    for name, table in (("short", SHORT), ("text", TEXT)):
        found = mean_tokens(sources[name], SizedEncoder(), CONFIG)
        assert found == pytest.approx(sum(tokens for tokens, _ in table) / len(table))
    small = CONFIG.model_copy(update={"max_tokens": 120, "over_long": "drop"})
    kept = [tokens if tokens <= 120 else 0 for tokens, _ in LONG]
    assert mean_tokens(sources["long"], SizedEncoder(), small) == pytest.approx(sum(kept) / len(LONG))
    shrunk = small.model_copy(update={"over_long": "fewer_tiles"})
    kept = [min(tokens, 120) for tokens, _ in LONG]
    assert mean_tokens(sources["long"], SizedEncoder(), shrunk) == pytest.approx(sum(kept) / len(LONG))


def test_a_resumed_loader_knows_what_was_seen() -> None:
    sources = weigh_by_tokens(_sources("r"), [(1.0, {"text"}), (1.0, PICTURES)], SizedEncoder(), CONFIG)
    whole = PackLoader(sources, SizedEncoder(), CONFIG)
    list(islice(whole, 20))
    first = PackLoader(sources, SizedEncoder(), CONFIG)
    list(islice(first, 9))
    second = PackLoader(sources, SizedEncoder(), CONFIG)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    list(islice(second, 11))
    assert second.stats == whole.stats and second.stats.seen["text"].tokens


def test_what_can_have_no_shares() -> None:
    groups = [(1.0, {"text"}), (1.0, PICTURES)]
    with pytest.raises(ValueError, match=r"token_share: with packing\.epochs = 2 every source gives"):
        weigh_by_tokens(_sources("e"), groups, SizedEncoder(), CONFIG.model_copy(update={"epochs": 2}))
    small = CONFIG.model_copy(update={"max_tokens": 15, "over_long": "drop"})
    with pytest.raises(ValueError, match="token_share: text: no record fits a pack"):
        weigh_by_tokens(_sources("e"), groups, SizedEncoder(), small)
