"""The time read from the pixels of a clock, and its questions."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import PIL.Image
import pytest

from tessera.evaluation.tasks import heldout_items
from tessera.playground.clock import MINUTES
from tessera.playground.parts import Scene
from tessera.playground.scene import NEW_SUITES, SUITES, TASKS, draw_scene
from tessera.scoring.exact import grade


def directions(scene: Scene, low: float, high: float) -> list[float]:
    """Turns from the top of all marked pixels in a ring between two reaches (shares of the radius)."""
    source = scene.media[0].source
    assert isinstance(source, PIL.Image.Image)
    pixels = np.asarray(source).astype(int)
    x0, y0, x1, y1 = (value * source.width for value in scene.regions[0].box)
    x, y = np.meshgrid(np.arange(source.width) + 0.5, np.arange(source.height) + 0.5)
    dx, dy = x - (x0 + x1) / 2, y - (y0 + y1) / 2
    reach = np.hypot(dx, dy) / ((x1 - x0) / 2)
    marked = np.abs(pixels - pixels[0, 0]).max(axis=2) > 60
    chosen = marked & (reach >= low) & (reach <= high)
    return list(np.arctan2(dx[chosen], -dy[chosen]) / (2 * math.pi) % 1)


def mean_turn(turns: list[float]) -> float:
    whole = sum(complex(math.cos(2 * math.pi * t), math.sin(2 * math.pi * t)) for t in turns)
    return math.atan2(whole.imag, whole.real) / (2 * math.pi) % 1


def read_clock(scene: Scene) -> str:
    """The long hand alone reaches far out; of what is nearer, the rest is the short one."""
    minutes = round(mean_turn(directions(scene, 0.55, 0.7)) * 4) % 4 * 15
    near = directions(scene, 0.25, 0.38)
    apart = [t for t in near if abs((t - minutes / 60 + 0.5) % 1 - 0.5) > 0.06]
    short = apart if len(apart) > len(near) / 4 else near  # at twelve one covers the other
    turn = mean_turn(short) - minutes / 60 / 12
    return f"{(round(turn * 12) - 1) % 12 + 1}:{minutes:02}"


@pytest.mark.parametrize(("level", "size"), [(1, 64), (2, 64), (2, 128)])
def test_the_clock_shows_the_time(level: int, size: int) -> None:
    for seed in range(150):
        scene = draw_scene("clock", seed, (size, size), level)
        answers = {question.kind: question.final for question in scene.questions}
        assert answers["time"] == read_clock(scene)
        hour = int(answers["time"].split(":")[0])
        assert (answers["hour"], answers["next_hour"]) == (str(hour), str(hour % 12 + 1))
        assert answers["time"] in scene.caption


@pytest.mark.parametrize("level", [1, 2, 3])
def test_times_are_spread_evenly(level: int) -> None:
    times: Counter[str] = Counter()
    for seed in range(3000):
        scene = draw_scene("clock", seed, level=level)
        times.update({question.final for question in scene.questions if question.kind == "time"})
        assert all(grade(q.final, q.answer, q.kind) for q in scene.questions)
    assert len(times) == 12 * len(MINUTES[level])
    assert max(times.values()) < 2 * min(times.values())


def test_it_is_new_to_the_shipped_mixture() -> None:
    """The shipped tokenizer and recipes know the suites of before; evaluation has the task by name alone."""
    assert "clock" in NEW_SUITES and "clock" not in (*SUITES, *TASKS)
    items = heldout_items("clock", 30)
    assert {item.question.kind for item in items} == {"time", "hour", "next_hour"}
