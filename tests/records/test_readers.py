"""Readers: lines by byte offset, and drawn scenes by number."""

from __future__ import annotations

import pickle
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Image, Video
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.imaging.decode import decode_image
from tessera.imaging.grid import Tiling
from tessera.packing.config import PackingConfig
from tessera.packing.loader import PackLoader
from tessera.packing.samples.encode import augment_pictures
from tessera.playground.scene import SUITES, draw_scene
from tessera.records.faults import DataError
from tessera.records.manifest import PlaygroundSource
from tessera.records.open import open_sources
from tessera.records.readers.playground import PlaygroundReader, choose_questions
from tessera.records.readers.records import RecordReader
from tests.records.jsonl_files import turns, write_clip, write_picture, write_records


def picture_bytes(conversation: Conversation) -> list[bytes]:
    """The pixels of every picture and of every frame."""
    sources = []
    for part in conversation.media:
        many = isinstance(part, Video) and isinstance(part.source, tuple)
        sources += list(part.source) if many else [part.source]  # type: ignore[arg-type]
    return [decode_image(source).tobytes() for source in sources]


def words(conversation: Conversation) -> list[str]:
    return [message.text for message in conversation.messages]


def test_lines_are_found_by_offset(tmp_path: Path) -> None:
    records = [{"id": n, "conversations": turns("ä" * n + "?", f"{n} 猫")} for n in range(1, 8)]
    lines = [records[0], b"", records[1], b"   ", *records[2:]]
    reader = RecordReader(write_records(tmp_path / "a.jsonl", lines))
    assert reader.size == 7
    assert [reader.place(n)[1] for n in range(7)] == [1, 3, 5, 6, 7, 8, 9]
    for number in (6, 0, 3):
        assert words(reader.conversation(number)) == ["ä" * (number + 1) + "?", f"{number + 1} 猫"]
    assert words(pickle.loads(pickle.dumps(reader)).conversation(2)) == words(reader.conversation(2))


def test_byte_order_mark_windows_line_ends_and_no_last_line_end(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    spec = write_records(file, [{"conversations": turns("a", "b")}, {"conversations": turns("c", "d")}])
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().rstrip().replace(b"\n", b"\r\n"))
    reader = RecordReader(spec)
    assert [words(reader.conversation(n)) for n in range(2)] == [["a", "b"], ["c", "d"]]


def test_a_bad_line_names_itself_and_spares_the_others(tmp_path: Path) -> None:
    reader = RecordReader(write_records(tmp_path / "a.jsonl", [b"\xff", {"conversations": turns("a", "b")}]))
    with pytest.raises(DataError, match=r"a.jsonl:1: line: bad UTF-8 \(byte 0 of the line is 0xff\)"):
        reader.conversation(0)
    assert words(reader.conversation(1)) == ["a", "b"]
    assert words(reader.without({(tmp_path / "a.jsonl", 1)}).conversation(0)) == ["a", "b"]


def test_augmentation_changes_pictures_not_clips_and_follows_its_seed(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    write_clip(tmp_path / "clip", 3)
    record = {"image": "a.png", "video": "clip", "conversations": turns("<image><video>", "b")}
    reader = RecordReader(write_records(tmp_path / "a.jsonl", [record], max_dynamic_patch=4))
    before = reader.conversation(0)
    once, again, other = (augment_pictures(before, Random(seed)) for seed in (1, 1, 2))
    assert once.media[1] == before.media[1]
    pixels = [decode_image(c.media[0].source).tobytes() for c in (before, once, again, other)]  # type: ignore
    assert pixels[1] == pixels[2]
    assert len({pixels[0], pixels[1], pixels[3]}) == 3
    assert isinstance(once.media[0], Image) and once.media[0].max_tiles == 4


def test_a_scene_depends_on_its_number_only() -> None:
    spec = PlaygroundSource(sizes=((64, 64), (96, 64)), descriptions=0.2)
    first, second = PlaygroundReader(spec), PlaygroundReader(spec)
    list(map(first.conversation, range(20)))
    for number in (17, 3, 8):
        one, two = first.conversation(number), second.conversation(number)
        assert words(one) == words(two)
        assert picture_bytes(one) == picture_bytes(two)
    assert words(first.conversation(1)) != words(first.conversation(2))
    other = PlaygroundReader(spec.model_copy(update={"seed": 1}))
    assert words(first.conversation(1)) != words(other.conversation(1))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("mode", ["picture", "caption", "blind"])
def test_every_suite_in_every_mode(suite: str, mode: str) -> None:
    spec = PlaygroundSource.model_validate({"suites": {suite: 1}, "mode": mode, "questions": 3, "count": 9})
    reader = PlaygroundReader(spec)
    assert reader.size == 9
    for number in range(5):
        conversation = reader.conversation(number)
        assert bool(conversation.media) == (mode == "picture")
        assert 1 <= len(conversation.messages) // 2 <= 3


def test_descriptions_alone() -> None:
    reader = PlaygroundReader(PlaygroundSource(descriptions=1.0))
    assert all(len(reader.conversation(number).messages) == 2 for number in range(10))


def test_kinds_take_turns() -> None:
    scene = draw_scene("shapes", 3)
    chosen = choose_questions(list(scene.questions), 6, Random(0))
    kinds = {(q.task, q.kind) for q in scene.questions}
    assert len(chosen) == min(6, len(scene.questions))
    assert len({(q.task, q.kind) for q in chosen}) == min(6, len(kinds))
    assert len(choose_questions(list(scene.questions), 10_000, Random(0))) == len(scene.questions)


def test_settings_that_leave_no_question_are_an_error() -> None:
    spec = PlaygroundSource(suites={"chart": 1.0}, tasks=("motion",))
    with pytest.raises(ValueError, match=r"playground: tasks \('motion',\).* leave no question"):
        PlaygroundReader(spec).conversation(0)


def test_the_whole_way_from_playground_to_packs_with_workers_and_resume() -> None:
    tokenizer = train_tokenizer([q.text for q in draw_scene("shapes", 1).questions], 300)
    encoder = Encoder(
        tokenizer, TEMPLATES["internvl2_5"], Tiling(tile_side=64, max_tiles=6), 16, system_text=""
    )
    specs = [PlaygroundSource(weight=3), PlaygroundSource(name="words", mode="caption", weight=1)]
    config = PackingConfig(max_tokens=2048, max_tiles=24, lookahead=16, seed=4)
    with PackLoader(open_sources(specs), encoder, config) as loader:
        packs = list(islice(loader, 3))
        state = loader.state_dict()
        expected = next(loader)
    config = config.model_copy(update={"workers": 1})
    with PackLoader(open_sources(specs), encoder, config) as resumed:
        resumed.load_state_dict(state)
        pack = next(resumed)
    assert pack.keys == expected.keys
    assert np.array_equal(pack.ids, expected.ids)
    assert np.array_equal(pack.weights, expected.weights)
    assert np.array_equal(pack.tiles, expected.tiles)
    for one in packs:
        slots = int((one.ids == tokenizer.token_id("<IMG_CONTEXT>")).sum())
        assert slots == 16 * len(one.tiles)
        assert {key.split(":")[0] for key in one.keys} <= {"playground", "words"}
