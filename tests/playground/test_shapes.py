"""Every answer about shapes, worked out again from the pixels and from the caption."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from tessera.playground.parts import Scene
from tessera.playground.scene import draw_scene
from tests.playground.reading import answer_about_shapes, only, phrases, read_caption, see

SIZES = [(64, 64), (128, 128), (160, 96)]


def picture(scene: Scene) -> PIL.Image.Image:
    source = scene.media[0].source
    assert isinstance(source, PIL.Image.Image)
    return source


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", [1, 2])
def test_pixels_give_the_same_answers(size: tuple[int, int], level: int) -> None:
    for seed in range(120 if size == (64, 64) else 12):
        scene = draw_scene("shapes", seed, size, level)
        things = see(picture(scene))
        assert sorted(f"{t.size} {t.color} {t.shape}" for t in things) == sorted(
            r.phrase for r in scene.regions
        )
        for question in scene.questions:
            if question.kind != "box":
                assert answer_about_shapes(question, things) == question.final, question


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_caption_alone_gives_the_same_answers(level: int) -> None:
    for seed in range(200):
        scene = draw_scene("shapes", seed, level=level)
        things = read_caption(scene.caption)
        assert f"{len(things)} thing" in scene.caption
        for question in scene.questions:
            if question.in_caption:
                assert answer_about_shapes(question, things) == question.final, question


@pytest.mark.parametrize("size", SIZES)
def test_boxes_are_the_extents_of_the_pixels(size: tuple[int, int]) -> None:
    for seed in range(60 if size == (64, 64) else 15):
        scene = draw_scene("shapes", seed, size, 2)
        things = see(picture(scene))
        scale = np.array([*size, *size])
        boxes = {tuple(int(v) for v in np.rint(np.array(r.box) * scale)) for r in scene.regions}
        assert boxes == {t.box for t in things}
        for question in scene.questions:
            if question.kind == "box":
                assert question.box is not None
                thing = only(phrases(question)[0], things)
                assert tuple(np.rint(np.array(question.box) * scale)) == thing.box
                numbers = [round(v * 1000 / s) for v, s in zip(thing.box or (), scale, strict=True)]
                assert question.final == f"[[{', '.join(map(str, numbers))}]]"
                assert question.answer == f"<ref>{phrases(question)[0]}</ref><box>{question.final}</box>"


def test_the_caption_names_things_in_reading_order() -> None:
    order = ["top left", "top right", "middle", "bottom left", "bottom right"]
    for seed in range(100):
        scene = draw_scene("shapes", seed)
        places = [order.index(t.place) for t in read_caption(scene.caption)]
        assert places == sorted(places)
        assert [r.phrase for r in scene.regions] == [
            f"{t.size} {t.color} {t.shape}" for t in read_caption(scene.caption)
        ]


def test_left_and_right_are_never_close_calls() -> None:
    for seed in range(60):
        scene = draw_scene("shapes", seed)
        things = see(picture(scene))
        for question in scene.questions:
            if question.kind in ("left_right", "above_below"):
                axis = int(question.kind == "above_below")
                one, two = (only(phrase, things).centre[axis] for phrase in phrases(question))
                assert abs(one - two) >= 8


def test_the_wording_does_not_tell_the_size_that_is_asked_for() -> None:
    asked = [q for seed in range(300) for q in draw_scene("shapes", seed).questions]
    for question in asked:
        if question.kind in ("size", "bigger", "smaller"):
            assert not {"big", "small"} & set(" ".join(phrases(question)).split())
