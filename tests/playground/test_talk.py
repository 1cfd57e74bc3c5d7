"""Scenes as conversations in the three modes."""

from __future__ import annotations

from random import Random

import pytest

from tessera.chat.message import Image, Text, Video
from tessera.playground.scene import SUITES, draw_scene
from tessera.playground.talk import caption_conversation, conversation


@pytest.mark.parametrize("suite", SUITES)
def test_picture_mode_puts_all_media_before_the_first_question(suite: str) -> None:
    scene = draw_scene(suite, 3)
    talk = conversation(scene, scene.questions[:3])
    assert talk.media == scene.media
    assert [m.role for m in talk.messages] == ["user", "assistant"] * 3
    assert [m.text for m in talk.messages[1::2]] == [q.answer for q in scene.questions[:3]]
    assert [m.text for m in talk.messages[2::2]] == [q.text for q in scene.questions[1:3]]
    assert talk.messages[0].parts[-1] == Text(scene.questions[0].text)


def test_pictures_are_labelled_as_in_training() -> None:
    scene = draw_scene("pair", 1)
    parts = conversation(scene, scene.questions[:1]).messages[0].parts
    words = [p.text if isinstance(p, Text) else "<image>" for p in parts]
    assert "".join(words) == f"Image-1: <image>\nImage-2: <image>\n{scene.questions[0].text}"
    single = conversation(draw_scene("shapes", 1), draw_scene("shapes", 1).questions[:1]).messages[0].parts
    assert isinstance(single[0], Image) and single[1] == Text("\n")
    assert isinstance(conversation(draw_scene("clip", 1), draw_scene("clip", 1).questions).media[0], Video)


def test_caption_mode_replaces_the_picture_by_words_and_drops_boxes() -> None:
    scene = draw_scene("shapes", 4)
    talk = conversation(scene, scene.questions, mode="caption")
    kept = [q for q in scene.questions if q.kind != "box"]
    assert len(kept) < len(scene.questions) and not talk.media
    assert talk.messages[0].text == f"{scene.caption}\n{kept[0].text}"
    assert [m.text for m in talk.messages[1::2]] == [q.answer for q in kept]


def test_blind_mode_shows_nothing() -> None:
    scene = draw_scene("chart", 4)
    talk = conversation(scene, scene.questions, mode="blind")
    assert not talk.media and talk.messages[0].text == scene.questions[0].text


def test_nothing_left_to_ask_is_an_error() -> None:
    scene = draw_scene("shapes", 4)
    boxes = [q for q in scene.questions if q.kind == "box"]
    with pytest.raises(ValueError, match="questions"):
        conversation(scene, boxes, mode="caption")
    with pytest.raises(ValueError, match="mode"):
        conversation(scene, boxes, mode="dark")  # type: ignore[arg-type]


@pytest.mark.parametrize("suite", SUITES)
def test_captions_are_asked_for_in_several_wordings(suite: str) -> None:
    scene = draw_scene(suite, 5)
    talks = [caption_conversation(scene, Random(seed)) for seed in range(30)]
    assert {t.messages[1].text for t in talks} == {scene.caption}
    assert len({t.messages[0].parts[-1] for t in talks}) >= 3
    assert all(t.media == scene.media for t in talks)
