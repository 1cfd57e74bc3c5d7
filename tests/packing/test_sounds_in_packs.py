"""Records with sounds: read, checked early, measured by headers, packed, taken apart again."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tessera.chat.message import Audio, Image, Text
from tessera.packing.config import PackingConfig
from tessera.packing.loader import PackLoader
from tessera.packing.pack import Sample, collate, filled, split_pack
from tessera.records.faults import DataError
from tessera.records.manifest import read_meta
from tessera.records.open import open_sources
from tessera.records.source import WeightedSource
from tests.engine import hearing, tiny


def write(folder: Path, records: list[dict[str, Any]]) -> Path:
    (folder / "short.wav").write_bytes(hearing.sound(0.5))
    (folder / "long.wav").write_bytes(hearing.sound(1.5, 1))
    tiny.picture(1, 30, 20).save(folder / "a.png")
    (folder / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    meta = {"heard": {"root": ".", "annotation": "a.jsonl", "length": len(records)}}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder / "meta.json"


def asked(question: str, answer: str = "a beep", **media: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": 0, "conversations": turns, **media}


RECORDS = [
    asked("<audio>\nwhat?", audio="short.wav"),
    asked("what is it?", audio="long.wav", image="a.png"),
    asked("<audio> then <audio>?", audio=["long.wav", "short.wav"]),
    asked("no sound: what?"),
]


def source(meta: Path) -> WeightedSource:
    (found,) = open_sources(read_meta(meta))
    return found


def test_records_become_conversations(tmp_path: Path) -> None:
    talks = [source(write(tmp_path, RECORDS)).source.conversation(n) for n in range(4)]
    short, long = (Audio(tmp_path / name) for name in ("short.wav", "long.wav"))
    assert talks[0].messages[0].parts == (short, Text("\nwhat?"))
    parts = talks[1].messages[0].parts
    assert [type(part) for part in parts] == [Image, Text, Audio, Text] and parts[2] == long
    assert talks[2].messages[0].parts == (long, Text(" then "), short, Text("?"))
    assert talks[3].media == ()


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (asked("<audio>\nwhat?"), "mark count"),
        (asked("<audio> and <audio>?", audio="short.wav"), "2 <audio> in human turns, 1 files"),
        (asked("what?", audio=["short.wav", "long.wav"]), "0 <audio> in human turns, 2 files"),
        (asked("what?", audio=7), "not a path"),
        (asked("what?", audio="../short.wav"), "path outside the root"),
        (asked("what?", audio_path="short.wav"), "write it as 'audio'"),
    ],
)
def test_mistakes_are_faults_of_the_record(tmp_path: Path, record: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        source(write(tmp_path, [record])).source.conversation(0)
    assert words in str(caught.value)


def packs(meta: Path, **settings: Any) -> PackLoader:
    packing = PackingConfig(max_tokens=256, max_tiles=8, **settings)
    return PackLoader((source(meta),), hearing.encoder(), packing)


def test_packs_hold_the_sounds_in_the_order_of_their_placeholders(tmp_path: Path) -> None:
    context = hearing.tokenizer().token_id("<AUDIO_CONTEXT>")
    count = hearing.family().model.hearing.audio.tokens  # type: ignore[union-attr]
    seen = set()
    for pack in islice(packs(write(tmp_path, RECORDS)), 6):
        assert len(pack.ids) <= 256
        per_sample = pack.sounds_per_sample or (0,) * len(pack.lengths)
        assert sum(per_sample) == len(pack.sounds)
        assert int((pack.ids == context).sum()) == sum(count(sound.frames) for sound in pack.sounds)
        for one in split_pack(pack):
            assert int((one.ids == context).sum()) == sum(count(s.frames) for s in one.sounds)
            seen.add(tuple(sound.frames for sound in one.sounds))
        with torch.no_grad():
            whole = hearing.model().embed(pack.ids, pack.tiles, sounds=pack.sounds)
        assert whole.isfinite().all()
    assert seen == {(50,), (150,), (150, 50), ()}


def test_a_pack_filled_up_keeps_its_sounds() -> None:
    encoded = hearing.prompt("which", hearing.sound(0.5))
    weights = np.zeros(len(encoded.ids), np.float32)
    weights[-1] = 1
    sample = Sample("a", encoded.ids, weights, encoded.tiles, sounds=encoded.sounds)
    pack = filled(collate([sample, sample]), 200, 4, 5)
    assert len(pack.sounds) == 2 and pack.sounds_per_sample == (1, 1, 0)
    assert [len(one.sounds) for one in split_pack(pack)] == [1, 1, 0]


def test_a_model_without_ears_says_so_before_the_first_step(tmp_path: Path) -> None:
    loader = PackLoader((source(write(tmp_path, RECORDS[:1])),), tiny.encoder(), PackingConfig())
    with pytest.raises(DataError, match="this model does not hear"):
        next(loader)
