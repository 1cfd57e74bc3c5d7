"""Bars measured in the picture, and every answer worked out from the measures."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from tessera.playground.parts import Question, Scene
from tessera.playground.scene import draw_scene
from tests.playground.reading import REFERENCE, phrases

Bars = list[tuple[str, int]]
UNITS = {1: 11, 2: 6}
"""Pixels a unit is high on 64 pixels, by level."""


def measure(scene: Scene, scale: int, unit: int) -> Bars:
    """Colour and height of each bar from left to right, from the pixels of the row above the axis."""
    source = scene.media[0].source
    assert isinstance(source, PIL.Image.Image)
    pixels = np.asarray(source).astype(int)
    near = {name: np.abs(pixels - value).max(axis=2) <= 14 for name, value in REFERENCE.items()}
    bars: Bars = []
    for x in range(pixels.shape[1]):
        for name, mask in near.items():
            if mask[60 * scale - 1, x] and name not in dict(bars):
                bars.append((name, round(mask[: 60 * scale, x].sum() / scale / unit)))
    return bars


def answer_about_bars(question: Question, bars: Bars) -> str:
    """The final answer to a question about measured bars."""
    a, b = phrases(question)
    value = dict(bars)
    ranked = sorted(value, key=lambda color: value[color])
    match question.kind:
        case "highest":
            return ranked[-1]
        case "lowest":
            return ranked[0]
        case "value":
            return str(value[a])
        case "bar_color":
            (color,) = [c for c, v in bars if v == int(a)]
            return color
        case "bars":
            return str(len(bars))
        case "nth_bar":
            return bars[int(a) - 1][0]
        case "is_higher":
            return "yes" if value[a] > value[b] else "no"
        case "which_higher":
            return a if value[a] > value[b] else b
        case "bar_sum":
            return str(value[a] + value[b])
    assert question.kind == "bar_difference"
    return str(value[a] - value[b])


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("level", [1, 2])
def test_pixels_give_the_same_answers(level: int, scale: int) -> None:
    for seed in range(150):
        scene = draw_scene("chart", seed, (64 * scale, 64 * scale), level)
        bars = measure(scene, scale, UNITS[level])
        assert [f"{color} bar {value}" for color, value in bars] == [r.phrase for r in scene.regions]
        assert scene.caption.endswith(" ".join(f"{color} {value}." for color, value in bars))
        for question in scene.questions:
            if question.kind != "box":
                assert answer_about_bars(question, bars) == question.final, question


def test_extremes_and_comparisons_are_never_ties() -> None:
    for seed in range(300):
        scene = draw_scene("chart", seed, level=3)
        values = [int(r.phrase.split()[-1]) for r in scene.regions]
        kinds = {q.kind for q in scene.questions}
        assert ("highest" in kinds) == (values.count(max(values)) == 1)
        assert ("lowest" in kinds) == (values.count(min(values)) == 1)


def test_regions_are_the_bars() -> None:
    for seed in range(60):
        scene = draw_scene("chart", seed)
        pixels = np.asarray(scene.media[0].source).astype(int)
        for region in scene.regions:
            x0, y0, x1, y1 = (round(v * 64) for v in region.box)
            color = REFERENCE[region.phrase.split()[0]]
            assert (np.abs(pixels[y0:y1, x0:x1] - color).max() <= 14) and y1 == 60
            assert np.abs(pixels[y0 - 1, (x0 + x1) // 2] - color).max() > 14
