"""Preference pairs on their way to packs: measured, cut, laid out and split like any sample."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tessera.chat.encoder import Encoder
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.imaging.grid import Tiling
from tessera.packing.config import PackingConfig
from tessera.packing.index import open_index
from tessera.packing.loader import PackLoader
from tessera.packing.mix import Draw, MixState
from tessera.packing.pack import Pack, Sample, collate, filled, split_pack
from tessera.packing.samples.document import as_document
from tessera.packing.samples.encode import DrawEncoder
from tessera.records.faults import DataError
from tessera.records.open import open_sources
from tessera.records.source import WeightedSource
from tests.packing.test_pack import make_sample
from tests.records.jsonl_files import turns, write_picture, write_records

TALK = {"conversations": turns("what is in the picture?", "a cat")}
PAIR = {"image": "wide.jpg", "question": "<image>\nwhat?", "chosen": "a dog", "rejected": "a cat and a dog"}
WORDS = {"question": "what is in the picture?", "chosen": "a cat", "rejected": "none"}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    tokenizer = train_tokenizer(["what is in the picture? a cat and a dog none"], 300)
    return Encoder(tokenizer, TEMPLATES["internvl2_5"], Tiling(tile_side=16, max_tiles=6), 4, system_text="")


def opened(folder: Path, *records: dict[str, Any], name: str = "a") -> tuple[WeightedSource, ...]:
    write_picture(folder / "wide.jpg", (96, 16))
    return open_sources([write_records(folder / f"{name}.jsonl", records)])


def branched(key: str, prompt: int, *answers: int) -> Sample:
    ids = np.arange(prompt + sum(answers), dtype=np.int32)
    weights = np.zeros(len(ids), dtype=np.float32)
    weights[prompt:] = 1
    return Sample(key, ids, weights, np.zeros((1, 4, 4, 3), dtype=np.uint8), None, answers)


def test_packs_keep_the_answers_of_every_sample() -> None:
    samples = [branched("a:0", 5, 2, 3), make_sample("b:0", 4, 1), branched("a:1", 3, 1, 1, 2)]
    pack = collate(samples)
    assert pack.lengths == (10, 4, 7)
    assert pack.branches == ((2, 3), (), (1, 1, 2))
    assert collate([make_sample("b:0", 4, 1)]).branches == ()
    assert collate([make_sample("b:0", 4, 1), samples[0]]).branches == ((), (2, 3))
    parts = split_pack(pack)
    assert [part.branches for part in parts] == [((2, 3),), (), ((1, 1, 2),)]
    assert filled(pack, 24, 5, 7).branches == ((2, 3), (), (1, 1, 2), ())
    assert filled(parts[1], 24, 5, 7).branches == ()


@pytest.mark.parametrize("answers", [(5, 0), (4, 6), (10,)])
def test_answers_that_leave_no_prompt_are_refused(answers: tuple[int, ...]) -> None:
    sample = make_sample("a:0", 10, 0)
    with pytest.raises(ValueError, match=r"a:0: answers of .* tokens leave no prompt of 10"):
        collate([Sample("a:0", sample.ids, sample.weights, sample.tiles, None, answers)])


@pytest.mark.parametrize("averaging", ["token", "sample", "square"])
def test_tokens_of_a_pair_weigh_one_whatever_the_averaging(
    tmp_path: Path, encoder: Encoder, averaging: Any
) -> None:
    draw = DrawEncoder(opened(tmp_path, PAIR), encoder, averaging)
    sample = draw.sample(Draw(0, 0, 0, MixState(0, ())))
    assert set(sample.weights.tolist()) == {0.0, 1.0}
    assert sample.weights[: -sum(sample.branches)].sum() == 0
    plain = DrawEncoder(opened(tmp_path, TALK, name="b"), encoder, averaging)
    weights = plain.sample(Draw(0, 0, 0, MixState(0, ()))).weights
    assert (weights.max() == 1) == (averaging == "token")


def test_the_index_measures_what_the_loader_gives(tmp_path: Path, encoder: Encoder) -> None:
    (entry,) = opened(tmp_path, PAIR, WORDS)
    index = open_index(entry, encoder)
    assert index is not None
    draw = DrawEncoder([entry], encoder)
    for record in range(2):
        sample = draw.sample(Draw(0, record, 0, MixState(0, ())))
        assert len(sample.branches) == 2
        assert (len(sample.ids), len(sample.tiles)) == (index.tokens[record], index.tiles[record])
        assert np.count_nonzero(sample.weights) == index.trained[record]


def packs_of(sources: tuple[WeightedSource, ...], encoder: Encoder, **settings: Any) -> list[Pack]:
    given = {"max_tokens": 160, "max_tiles": 14, "epochs": 1, "seed": 3}
    with PackLoader(sources, encoder, PackingConfig(**(given | settings))) as loader:
        return list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mixture_of_pairs_and_conversations(tmp_path: Path, encoder: Encoder, workers: int) -> None:
    """What a pack says of a sample is what the record alone gives; workers change nothing."""
    sources = (*opened(tmp_path, *[PAIR, WORDS] * 4), *opened(tmp_path, *[TALK] * 3, name="b"))
    packs = packs_of(sources, encoder, workers=workers)
    keys = sorted(key for pack in packs for key in pack.keys)
    assert keys == sorted([*(f"a:{n}" for n in range(8)), *(f"b:{n}" for n in range(3))])
    by_name = {entry.source.name: entry.source for entry in sources}
    for part in (part for pack in packs for part in split_pack(pack)):
        (key,) = part.keys
        name, _, number = key.partition(":")
        encoded = encoder.encode(by_name[name].conversation(int(number)))
        assert part.ids.tolist() == encoded.ids.tolist()
        assert part.branches == ((encoded.branches,) if name == "a" else ())


def test_positions_start_anew_for_every_answer(tmp_path: Path, encoder: Encoder) -> None:
    for v2pe in (0.25, "random"):
        (pack,) = packs_of(opened(tmp_path, PAIR), encoder, v2pe=v2pe, max_tokens=200)
        (first, second), positions = pack.branches[0], pack.positions
        assert positions is not None
        prompt = len(pack.ids) - first - second
        assert positions[prompt] == positions[prompt + first] == positions[prompt - 1] + 1
        assert torch.equal(positions[-second:], positions[prompt] + torch.arange(second))


def test_a_resumed_loader_gives_the_same_branches(tmp_path: Path, encoder: Encoder) -> None:
    sources = opened(tmp_path, *[PAIR, WORDS] * 4)
    config = PackingConfig(max_tokens=160, max_tiles=14, epochs=2)
    with PackLoader(sources, encoder, config) as loader:
        next(loader)
        state = loader.state_dict()
        rest = [(pack.keys, pack.branches) for pack in loader]
    with PackLoader(pickle.loads(pickle.dumps(sources)), encoder, config) as again:
        again.load_state_dict(state)
        assert [(pack.keys, pack.branches) for pack in again] == rest


@pytest.mark.parametrize(
    ("policy", "tally"), [("drop", "dropped"), ("split", "dropped"), ("fewer_tiles", "shrunk")]
)
def test_pairs_longer_than_a_pack(tmp_path: Path, encoder: Encoder, policy: Any, tally: str) -> None:
    """No answer is ever cut off: `split` drops a pair as `drop` does."""
    sources = opened(tmp_path, PAIR, WORDS)
    config = PackingConfig(max_tokens=120, max_tiles=5, epochs=1, over_long=policy)
    with PackLoader(sources, encoder, config) as loader:
        packs = list(loader)
        assert getattr(loader.stats, tally) == 1
    found = {key: answers for pack in packs for key, answers in zip(pack.keys, pack.branches, strict=True)}
    assert found.keys() == ({"a:0", "a:1"} if tally == "shrunk" else {"a:1"})
    assert all(len(answers) == 2 for answers in found.values())


def test_a_pair_longer_than_a_pack_is_an_error(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(
        DataError, match=r"a.jsonl:1: record: too long .*7 of 5 tiles; a prompt of \d+, answers of \d+ and"
    ):
        packs_of(opened(tmp_path, PAIR), encoder, max_tiles=5)


def test_a_document_has_no_answers(tmp_path: Path, encoder: Encoder) -> None:
    (entry,) = opened(tmp_path, PAIR)
    with pytest.raises(ValueError, match="document: it has several answers"):
        as_document(entry.source.conversation(0))
