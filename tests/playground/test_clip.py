"""Clips: motion and order worked out from the frames."""

from __future__ import annotations

import PIL.Image
import pytest

from tessera.chat.message import Video
from tessera.playground.parts import Question, Scene
from tessera.playground.scene import draw_scene
from tests.playground.reading import Seen, phrases, see


def frames_of(scene: Scene) -> list[PIL.Image.Image]:
    (clip,) = scene.media
    assert isinstance(clip, Video) and isinstance(clip.source, tuple)
    return list(clip.source)


def find(things: list[Seen], color: str) -> Seen:
    (thing,) = [t for t in things if t.color == color]
    return thing


def direction_between(first: Seen, last: Seen) -> str | None:
    """The way from one place to another; None when it stays."""
    dx, dy = (b - a for a, b in zip(first.centre, last.centre, strict=True))
    if abs(dx) + abs(dy) < 2:
        return None
    assert min(abs(dx), abs(dy)) < 2
    return ("right" if dx > 0 else "left") if abs(dx) > abs(dy) else ("down" if dy > 0 else "up")


def answer_about_motion(question: Question, frames: list[list[Seen]]) -> str:
    ways = {t.color: direction_between(t, find(frames[-1], t.color)) for t in frames[0]}
    moving = next(color for color, way in ways.items() if way)
    mover = find(frames[0], moving)
    a, b = phrases(question)
    match question.kind:
        case "direction":
            assert set(a.split()) <= {mover.color, mover.shape, "thing"}
            return str(ways[moving])
        case "moves_to":
            return "yes" if ways[moving] == b else "no"
        case "moving_color":
            return moving
        case "moving_shape":
            return mover.shape
        case "still_color":
            return next(color for color, way in ways.items() if not way)
        case "does_move":
            return "yes" if ways[a.split()[0]] else "no"
    return str(len(frames))


def answer_about_order(question: Question, frames: list[list[Seen]]) -> str:
    arrived: list[Seen] = []
    for things in frames:
        new = [t for t in things if t.color not in {old.color for old in arrived}]
        assert len(new) <= 1
        arrived += new
    colors = [t.color for t in arrived]
    a, b = phrases(question)
    match question.kind:
        case "after":
            return colors[colors.index(a) + 1]
        case "before":
            return "yes" if colors.index(a) < colors.index(b) else "no"
        case "order":
            return ", ".join(colors)
    return {
        "first_color": colors[0],
        "last_color": colors[-1],
        "first_shape": arrived[0].shape,
        "last_shape": arrived[-1].shape,
        "things_at_end": str(len(frames[-1])),
        "frames": str(len(frames)),
    }[question.kind]


@pytest.mark.parametrize("level", [1, 2])
def test_frames_give_the_same_answers(level: int) -> None:
    for seed in range(40):
        scene = draw_scene("clip", seed, level=level)
        frames = [see(frame) for frame in frames_of(scene)]
        motion = any(q.task == "motion" for q in scene.questions)
        for question in scene.questions:
            answer = (answer_about_motion if motion else answer_about_order)(question, frames)
            assert answer == question.final, question


def test_a_moving_thing_never_touches_the_other() -> None:
    for seed in range(40):
        scene = draw_scene("clip", seed)
        if any(q.task == "motion" for q in scene.questions):
            assert {len(see(frame)) for frame in frames_of(scene)} == {2}


def test_captions_tell_the_story() -> None:
    for seed in range(100):
        scene = draw_scene("clip", seed)
        words = scene.caption.replace(".", "").replace(",", "").split()
        for question in scene.questions:
            if question.final not in ("yes", "no") and question.kind != "things_at_end":
                assert set(question.final.replace(",", "").split()) <= set(words), question
        assert scene.caption.startswith(f"a clip of {len(frames_of(scene))} frames.")
