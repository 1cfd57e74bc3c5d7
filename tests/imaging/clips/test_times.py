"""Clips whose rate varies: their time stamps decide where seconds are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tessera.chat.clip_frames import clip_frames
from tessera.chat.message import Video
from tessera.imaging.frames import frame_indices, frames_by_rate, seconds_to_frames
from tessera.imaging.video import probe_video
from tests.imaging.clips.drawn_clips import write_clip

SLOW_THEN_FAST = [0, 1, 2, 3, *(4 + n / 10 for n in range(20))]
"""Four frames of a second, then twenty of a tenth: two thirds of the frames lie in the last third."""


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_time_stamps_decide_where_bounds_are_given(tmp_path: Path, name: str) -> None:
    """By the average rate of 4 frames a second, the first 4 seconds would be 16 of the 24 frames."""
    path = write_clip(tmp_path / name, times=SLOW_THEN_FAST)
    info = probe_video(path, timed=True)
    assert info.frames == 24 and info.times is not None
    assert np.allclose(info.times[:-1], SLOW_THEN_FAST, atol=2e-3)
    assert clip_frames(Video(path, 0, 3, frames=4), 8, 64) == frame_indices(4, 1, 4)
    assert set(clip_frames(Video(path, 4, 6, frames=8), 8, 64)) <= set(range(4, 24))
    assert seconds_to_frames(24, info.fps, 0, 4, info.times) == (0, 4)
    assert seconds_to_frames(24, info.fps, 4.45, 5, info.times) == (8, 14)
    # Without bounds the published rule counts frames, as it always did.
    assert clip_frames(Video(path), 8, 64) == frame_indices(24, info.fps, 8)
    with pytest.raises(ValueError, match="leave no frame"):
        clip_frames(Video(path, 60, 61), 8, 64)


def test_at_a_constant_rate_the_published_rule_stays(tmp_path: Path) -> None:
    """Millisecond stamps of 30 frames a second are rounded, but no reason for another rule."""
    path = write_clip(tmp_path / "a.mkv", times=[n / 30 for n in range(90)], rate=30)
    info = probe_video(path, timed=True)
    assert info.times is None
    assert clip_frames(Video(path, 0.5, 2.5, frames=8), 8, 64) == frame_indices(90, info.fps, 8, 0.5, 2.5)


def test_an_animation_lasts_as_long_as_its_frames(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGB", (8, 8), (25 * n, 0, 0)) for n in range(6)]
    frames[0].save(
        tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[1000, 100, 100, 100, 100, 1000]
    )
    info = probe_video(tmp_path / "a.gif", timed=True)
    assert info.times is not None and info.times.tolist() == pytest.approx([0, 1, 1.1, 1.2, 1.3, 1.4, 2.4])
    assert clip_frames(Video(tmp_path / "a.gif", fps=2), 8, 64) == [0, 1, 5]


def test_frames_by_rate() -> None:
    assert frames_by_rate(20, 10, 2) == [0, 5, 10, 15]
    assert frames_by_rate(20, 10, 2, 0.5, 1.5) == [5, 10]
    assert frames_by_rate(20, 10, 0.1) == [0]
    assert frames_by_rate(20, 10, 240) == frames_by_rate(20, 10, 10) == list(range(20))
    assert frames_by_rate(20, 10, 60, 0.5, 1) == [5, 6, 7, 8, 9]
    assert frames_by_rate(90, 29.97, 1) == [0, 29, 59, 89]
    times = np.array([*SLOW_THEN_FAST, 6.0])
    assert frames_by_rate(24, 4, 1, times=times) == [0, 1, 2, 3, 4, 14]
    for rate in (0, -1, 241, float("nan"), float("inf"), True, "2"):
        with pytest.raises(ValueError, match=r"fps=.* is no number of frames a second above 0 and up to 240"):
            frames_by_rate(20, 10, rate)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="leave no frame"):
        frames_by_rate(20, 10, 1, 2, 3)


def test_a_rate_is_bounded_by_the_most_frames(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", count=100)
    assert clip_frames(Video(path, fps=1), 8, 64) == list(range(0, 100, 10))
    with pytest.raises(ValueError, match=r"video\.fps: 10 a second are 100 frames .* the most is 64"):
        clip_frames(Video(path, fps=10), 8, 64)
    assert clip_frames(Video(path, fps=10, frames=16), 8, 64) == frame_indices(100, 10, 16)
    with pytest.raises(ValueError, match="video.frames: 65 is not in 1..64"):
        clip_frames(Video(path, fps=1, frames=65), 8, 64)
    frames = tuple(PIL.Image.new("RGB", (8, 8)) for _ in range(10))
    assert clip_frames(Video(frames, fps=0.5), 8, 64) == [0, 2, 4, 6, 8]
