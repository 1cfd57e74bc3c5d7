"""Frame numbers: the published inference rule, and the training sampler's promises."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.imaging.frames import draw_frame_count, frame_indices, sample_training_frames


def published_indices(total: int, fps: float, count: int, bound: tuple[float, float] | None) -> list[int]:
    """docs/facts/imaging.md, restated with numpy's rounding as the official helper has it."""
    start, end = bound if bound else (-100000, 100000)
    first = max(0, round(start * fps))
    last = min(round(end * fps), total - 1)
    segment = float(last - first) / count
    return [int(first + segment / 2 + np.round(segment * k)) for k in range(count)]


@given(st.integers(1, 5000), st.floats(0.5, 120), st.integers(1, 64))
@settings(deadline=None)
def test_whole_clip(total: int, fps: float, count: int) -> None:
    numbers = frame_indices(total, fps, count)
    assert numbers == published_indices(total, fps, count, None)
    assert numbers == sorted(numbers)
    assert numbers[0] >= 0 and numbers[-1] < total


@given(st.integers(1, 5000), st.floats(0.5, 120), st.integers(1, 64), st.floats(0, 60), st.floats(0, 60))
@settings(deadline=None)
def test_bounds_in_seconds(total: int, fps: float, count: int, start: float, length: float) -> None:
    bound = (start, start + length)
    if round(start * fps) > total - 1:
        with pytest.raises(ValueError, match="leave no frame"):
            frame_indices(total, fps, count, *bound)
        return
    numbers = frame_indices(total, fps, count, *bound)
    assert numbers == published_indices(total, fps, count, bound)
    assert round(start * fps) <= numbers[0] and numbers[-1] <= min(total - 1, round(bound[1] * fps))


def test_known_values() -> None:
    assert frame_indices(895, 30.0, 8) == [55, 167, 279, 390, 502, 614, 725, 837]
    assert frame_indices(1, 30.0, 4) == [0, 0, 0, 0]
    assert frame_indices(100, 10.0, 2, start=5.0) == [62, 86]
    assert frame_indices(100, 10.0, 2, end=1.0) == [2, 7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 30.0, 8), "total=0"),
        ((10, 30.0, 0), "count=0"),
        ((10, 0.0, 4, 1.0, 2.0), "fps=0.0"),
        ((100, 10.0, 4, 3.0, 2.0), "leave no frame"),
    ],
)
def test_impossible_requests_are_refused(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frame_indices(*arguments)  # type: ignore[arg-type]


@given(st.integers(1, 400), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None)
def test_training_frames(total: int, count: int, seed: int) -> None:
    numbers = sample_training_frames(total, count, random.Random(seed))
    assert numbers == sample_training_frames(total, count, random.Random(seed))
    assert len(numbers) == count
    assert numbers == sorted(numbers)
    assert numbers[0] >= 0 and numbers[-1] < total
    distinct = min(total, count)
    assert len(set(numbers)) == distinct
    assert numbers[distinct:] == [numbers[distinct - 1]] * (count - distinct)


def test_training_frames_take_one_from_each_stretch_without_its_last() -> None:
    drawn = {tuple(sample_training_frames(12, 3, random.Random(seed))) for seed in range(300)}
    for stretch in range(3):
        assert {numbers[stretch] for numbers in drawn} == {4 * stretch, 4 * stretch + 1, 4 * stretch + 2}


def test_frame_count_is_uniform_over_its_limits() -> None:
    rng = random.Random(0)
    assert {draw_frame_count(rng) for _ in range(1000)} == set(range(8, 33))
    with pytest.raises(ValueError, match="min_frames=3"):
        draw_frame_count(rng, 3, 2)
