"""Written words and numbers: the letters really stand there, and answers follow from them."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
from PIL import ImageDraw, ImageFont

from tessera.playground.parts import Question, Scene
from tessera.playground.scene import draw_scene
from tests.playground.reading import phrases

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@cache
def template(character: str) -> tuple[npt.NDArray[np.float64], float]:
    """A character drawn large, scaled to 16 x 16, and its height over its width."""
    canvas = PIL.Image.new("L", (160, 160))
    ImageDraw.Draw(canvas).text((20, 20), character, 255, ImageFont.load_default(90), stroke_width=3)
    cut = canvas.crop(canvas.getbbox())
    return np.asarray(cut.resize((16, 16), PIL.Image.Resampling.BOX)) / 255, cut.height / cut.width


def read_character(ink: npt.NDArray[np.float64], candidates: str) -> str:
    """The candidate whose template is nearest to a patch of ink (0..1)."""
    small = PIL.Image.fromarray((ink * 255).astype(np.uint8)).resize((16, 16), PIL.Image.Resampling.BOX)
    shape = ink.shape[0] / ink.shape[1]

    def distance(character: str) -> float:
        pattern, ratio = template(character)
        return float(np.abs(np.asarray(small) / 255 - pattern).mean() + 0.3 * abs(np.log(shape / ratio)))

    return min(candidates, key=distance)


def ink_of(scene: Scene) -> npt.NDArray[np.float64]:
    """How far each pixel is from the background, 0..1."""
    image = scene.media[0].source
    assert isinstance(image, PIL.Image.Image)
    pixels = np.asarray(image).astype(float)
    colors, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    distance = np.abs(pixels - colors[counts.argmax()]).sum(axis=2)
    return distance / distance.max()


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (128, 128)])
def test_each_region_holds_the_character_it_names(size: tuple[int, int]) -> None:
    right = total = 0
    for seed in range(120):
        scene = draw_scene("text", seed, size)
        ink = ink_of(scene)
        for region in scene.regions:
            unit, name = region.phrase.split()
            x0, y0, x1, y1 = (round(v * s) for v, s in zip(region.box, size * 2, strict=True))
            patch = ink[y0:y1, x0:x1]
            assert patch.shape == (y1 - y0, x1 - x0) and min(patch.shape) > 1
            if unit in ("letter", "digit"):
                assert all(edge.max() > 0.15 for edge in (patch[0], patch[-1], patch[:, 0], patch[:, -1]))
                total += 1
                right += read_character(patch, ALPHABET[:26] if unit == "letter" else ALPHABET[26:]) == name
    assert right / total > 0.97, f"{right} of {total} characters read"


def test_no_ink_outside_the_regions_except_the_plus_sign() -> None:
    for seed in range(100):
        scene = draw_scene("text", seed)
        ink = ink_of(scene)
        for region in scene.regions:
            x0, y0, x1, y1 = (round(v * 64) for v in region.box)
            ink[y0:y1, x0:x1] = 0
        assert (ink.max() > 0.2) == ("+" in scene.caption)


def answer_from(caption: str, question: Question) -> str:
    """The answer that follows from the caption's words alone."""
    a, _ = phrases(question)
    if "top line" in caption:
        one, two = map(int, re.findall(r"\d+", caption))
        return {
            "top_line": str(one),
            "bottom_line": str(two),
            "larger_number": str(max(one, two)),
            "add": str(one + two),
            "sum_over": "yes" if a and one + two > int(a) else "no",
        }[question.kind]
    words = re.findall(r"(?:word|number) is (\w+)", caption)
    spelled = re.findall(r"are ((?:\w )*\w)\.", caption)
    assert [" ".join(w) for w in words] == spelled
    first, last = words[0], words[-1]
    return {
        "word": first,
        "number": first,
        "first_word": first,
        "second_word": last,
        "both_words": " ".join(words),
        "spell": spelled[0],
        "spell_digits": spelled[0],
        "spell_first": spelled[0],
        "spell_second": spelled[-1],
        "first_letter": first[0],
        "first_digit": first[0],
        "last_letter": first[-1],
        "last_digit": first[-1],
        "letters": str(len(first)),
        "digits": str(len(first)),
        "first_word_letters": str(len(first)),
        "has_letter": "yes" if a and a in first else "no",
        "has_digit": "yes" if a and a in first else "no",
        "has_letter_any": "yes" if a and a in first + last else "no",
        "over": "yes" if a.isdigit() and first.isdigit() and int(first) > int(a) else "no",
    }[question.kind]


@pytest.mark.parametrize(("size", "level"), [((64, 64), 1), ((64, 64), 2), ((64, 64), 3), ((128, 64), 2)])
def test_answers_follow_from_the_caption_and_it_from_the_regions(size: tuple[int, int], level: int) -> None:
    for seed in range(200):
        scene = draw_scene("text", seed, size, level)
        whole = [r.phrase.split()[1] for r in scene.regions if r.phrase.startswith(("word", "number"))]
        single = [r.phrase.split()[1] for r in scene.regions if r.phrase.startswith(("letter", "digit"))]
        assert "".join(whole) == "".join(single)
        assert all(f" {text}." in scene.caption for text in whole)
        for question in scene.questions:
            if question.in_caption:
                assert answer_from(scene.caption, question) == question.final, question
