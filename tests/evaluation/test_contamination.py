"""Questions that stand in training data are found, and others are not."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from tessera.chat.message import Conversation, Image, Message, Text, Video
from tessera.evaluation.robustness.contamination import (
    ChunkFound,
    KnownQuestion,
    SeenLook,
    known_questions,
    look_through,
    scores_by_seen,
    words_of,
)
from tessera.evaluation.robustness.pictures import PictureIndex, print_of
from tessera.evaluation.rows.item import Item, MediaFile
from tessera.records.manifest import read_meta
from tessera.records.open import open_sources
from tessera.scoring.verdict import OVERALL, Reference
from tests.evaluation.graded import Mean, graded


def chart(seed: int) -> PIL.Image.Image:
    drawn = PIL.Image.new("RGB", (400, 300), "white")
    pen, random = PIL.ImageDraw.Draw(drawn), np.random.default_rng(seed)
    for bar, height in enumerate(random.integers(20, 280, 6).tolist()):
        pen.rectangle((20 + bar * 60, 300 - height, 60 + bar * 60, 300), fill="steelblue")
    return drawn


def saved_again(picture: PIL.Image.Image, scale: float = 1.0, quality: int = 60) -> PIL.Image.Image:
    stream = io.BytesIO()
    size = int(picture.width * scale), int(picture.height * scale)
    picture.resize(size).save(stream, "JPEG", quality=quality)
    return PIL.Image.open(stream).convert("RGB")


INDEX = PictureIndex([print_of(chart(seed)) for seed in range(20)])


@pytest.mark.parametrize("scale", [0.4, 0.7, 1.0, 1.6])
@pytest.mark.parametrize("seed", range(0, 20, 5))
def test_pictures_saved_again_are_nearly_the_same(seed: int, scale: float) -> None:
    assert INDEX.find(print_of(saved_again(chart(seed), scale))) == ([], [seed])


def test_pictures_that_are_the_same_or_others() -> None:
    assert INDEX.find(print_of(chart(3))) == ([3], [])
    for seed in range(20, 60):
        assert INDEX.find(print_of(chart(seed))) == ([], [])
    wide = chart(3).resize((400, 200))
    assert INDEX.find(print_of(wide)) == ([], [])


def test_blank_pictures_are_only_the_same_to_the_pixel() -> None:
    white, other = PIL.Image.new("RGB", (64, 64), "white"), PIL.Image.new("RGB", (64, 64), (254, 255, 255))
    index = PictureIndex([print_of(white)])
    assert index.find(print_of(white)) == ([0], []) and index.find(print_of(other)) == ([], [])
    assert PictureIndex([]).find(print_of(white)) == ([], [])


def asked(*parts: object) -> Conversation:
    made = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return Conversation(
        (Message("user", made), Message("assistant", (Text("How many red bars are there? Six."),)))
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("How many red bars are there?\nAnswer the question using a single word or phrase.", True),
        ("Look. how MANY red\nbars are there", True),
        ("How many red bars are here?", False),
        ("How many bars are there?", False),
        ("many red bars are there", False),
        ("", False),
    ],
)
def test_questions_are_found_in_longer_turns_of_the_user(text: str, seen: bool) -> None:
    look, found = SeenLook([KnownQuestion("17", "<image>\nHow many red bars are there?")]), ChunkFound()
    look.look(asked(text), 5, found)
    assert found.found == ({(0, "question"): (5, 1)} if seen else {})


def test_chinese_and_short_questions() -> None:
    known = [KnownQuestion("1", "图中有几只猫？"), KnownQuestion("2", "Why?")]
    look, found = SeenLook(known), ChunkFound()
    look.look(asked("请看图，图中有几只猫？请回答。"), 0, found)
    look.look(asked("Why?"), 1, found)
    assert found.found == {(0, "question"): (0, 1)}
    assert words_of("it's <image 2> 3_4") == ("it", "s", "3", "4")


def test_pictures_with_and_without_their_question(tmp_path: Path) -> None:
    for seed in (1, 2):
        chart(seed).save(tmp_path / f"{seed}.png")
    known = [
        KnownQuestion(text, text, (tmp_path / "1.png",)) for text in ("Why?", "What is the highest bar?")
    ]
    known.append(KnownQuestion("other", "Is there a bar?", (tmp_path / "2.png",)))
    look, found = pickle.loads(pickle.dumps(SeenLook(known))), ChunkFound()
    look.look(asked(Image(saved_again(chart(1))), "Why?"), 0, found)
    look.look(asked(Image(chart(1)), "Describe it."), 1, found)
    look.look(asked(Image(b"broken"), Video("x.mp4"), "Describe it."), 2, found)
    assert found.found == {
        (0, "picture and question"): (0, 1),
        (1, "picture nearly"): (0, 1),
        (0, "picture"): (1, 1),
        (1, "picture"): (1, 1),
    }
    assert found.left_out == {"unreadable picture": 1, "clip": 1}


@pytest.mark.parametrize("workers", [0, 2])
def test_manifest(tmp_path: Path, workers: int) -> None:
    (tmp_path / "images").mkdir()
    rows = []
    for seed in range(130):
        chart(seed).save(tmp_path / "images" / f"{seed}.jpg", quality=70)
        question = "How many bars does this chart show?" if seed == 7 else "What is shown?"
        turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": "Bars."}]
        rows.append({"id": seed, "image": f"{seed}.jpg", "conversations": turns})
    rows.append({"id": "faulty", "image": "gone.jpg"})
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    meta = {"charts": {"root": "images", "annotation": "train.jsonl", "length": 131, "repeat_time": 1}}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    for seed in (7, 100, 500):
        chart(seed).save(tmp_path / f"{seed}.png")
    items = [
        Item(
            str(seed),
            Reference(("6",), {}, "How many bars does this chart show?"),
            (MediaFile(tmp_path / f"{seed}.png"),),
        )
        for seed in (7, 100, 500)
    ]
    entries = open_sources(read_meta(tmp_path / "meta.json"))
    found = look_through(known_questions(items), entries, workers)
    assert {index: set(kinds) for index, kinds in found.seen.items()} == {
        "7": {"picture and question"},
        "100": {"picture nearly", "question"},
        "500": {"question"},
    }
    assert found.seen["100"]["picture nearly"] == (f"{tmp_path / 'train.jsonl'}:101", 1)
    assert found.pictured == ["7", "100"] and found.records == 131
    assert (
        found.told()[0]
        == f"1 question (33.3%) seen, picture and question: 7 at {tmp_path / 'train.jsonl'}:8, …"
    )
    assert "not compared: 1 faulty record" in found.told()
    assert json.loads(json.dumps(found.as_json()))["counts"]["question"] == 2


def test_scores_with_and_without() -> None:
    found = scores_by_seen(graded([1, 1, 0, 1]), {"0", "1"}, Mean())
    assert {name: (one.estimates[OVERALL].value, one.questions) for name, one in found.items()} == {
        "all": (75, 4),
        "seen": (100, 2),
        "not seen": (50, 2),
    }
    assert list(scores_by_seen(graded([1]), set(), Mean())) == ["all", "not seen"]
