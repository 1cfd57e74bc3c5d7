"""Two pictures: every answer worked out from the pixels of both."""

from __future__ import annotations

import PIL.Image
import pytest

from tessera.playground.parts import Question
from tessera.playground.scene import draw_scene
from tests.playground.reading import Seen, number_of, only, phrases, read_caption, see


def answer_about_pair(question: Question, pictures: list[list[Seen]]) -> str:
    """The final answer to a question about two lists of things."""
    a, b = phrases(question)
    if question.kind == "color_in":
        return only(a, pictures[int(b) - 1]).color
    if question.kind == "count_in":
        return str(number_of(a, pictures[int(b) - 1]))
    if question.kind == "same_color":
        return "yes" if len({only(a, things).color for things in pictures}) == 1 else "no"
    one, two = (number_of(a, things) for things in pictures)
    if question.kind == "more_by":
        assert (1 if one > two else 2) == int(b)
    return {
        "same_count": "yes" if one == two else "no",
        "sum_both": str(one + two),
        "more_by": str(abs(one - two)),
        "more_in": "1" if one > two else "2",
        "fewer_in": "1" if one < two else "2",
    }[question.kind]


@pytest.mark.parametrize("level", [1, 2])
def test_pixels_and_captions_give_the_same_answers(level: int) -> None:
    for seed in range(50):
        scene = draw_scene("pair", seed, level=level)
        images = [part.source for part in scene.media]
        seen = [see(image) for image in images if isinstance(image, PIL.Image.Image)]
        told = [read_caption(part) for part in scene.caption.split("picture 2:")]
        assert len(seen) == 2
        for question in scene.questions:
            assert answer_about_pair(question, seen) == question.final, question
            assert answer_about_pair(question, told) == question.final, question


def test_which_has_more_is_asked_only_when_one_has() -> None:
    for seed in range(200):
        questions = draw_scene("pair", seed).questions
        same = next(q.final for q in questions if q.kind == "same_count")
        assert any(q.kind in ("more_in", "fewer_in") for q in questions) == (same == "no")


def test_questions_say_which_picture_they_are_about() -> None:
    for seed in range(50):
        for question in draw_scene("pair", seed).questions:
            _, b = phrases(question)
            one_picture = question.kind in ("color_in", "count_in")
            assert question.images == ((int(b) - 1,) if one_picture else (0, 1))
