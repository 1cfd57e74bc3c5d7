"""Clips in training: numbers are drawn before pixels are read; long lists of frames are drawn from, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Message, Text, Video, say
from tessera.packing.samples.clips import draw_clips, pick_frames, single_frames
from tessera.packing.samples.overlong import Cut
from tessera.records.source import WeightedSource
from tests.imaging.clips.drawn_clips import write_clip
from tests.packing.test_index import encoder as encoder  # the fixture


class _Nothing:
    name, size = "clips", 1


def talk(clip: Video) -> Conversation:
    return Conversation((Message("user", (clip, Text("\n?"))), say("assistant", "a")))


def drawn(clip: Video, low: int, high: int, visit: int = 0) -> Video:
    entry = WeightedSource(_Nothing(), frames=(low, high))  # type: ignore[arg-type]
    return draw_clips(talk(clip), entry, 0, visit).media[0]  # type: ignore[return-value]


def test_frames_are_picked_by_number_and_read_one_at_a_time(tmp_path: Path, encoder: Encoder) -> None:
    """All frames of a clip were held in memory at their full size before they became tiles."""
    path = write_clip(tmp_path / "a.mp4", count=40)
    clip = drawn(Video(path, 1, 3), 4, 4)
    assert encoder.measure(talk(clip)).tiles == 4
    picked = pick_frames(talk(clip)).media[0]
    assert isinstance(picked, Video) and picked.source == path and picked.picked is not None
    assert len(picked.picked) == 4 and all(10 <= number < 30 for number in picked.picked)
    tiles = encoder.encode(talk(picked)).tiles
    assert [round((float(tile[-4, -4, 0]) - 20) / 10) for tile in tiles] == [n % 23 for n in picked.picked]


def test_more_frames_than_chat_takes_may_be_drawn(tmp_path: Path, encoder: Encoder) -> None:
    clip = drawn(Video(write_clip(tmp_path / "a.mp4", count=90)), 80, 80)
    assert encoder.measure(talk(clip)).tiles == len(encoder.encode(pick_frames(talk(clip))).tiles) == 80


def test_fewer_tiles_leave_fewer_drawn_frames(tmp_path: Path, encoder: Encoder) -> None:
    clip = drawn(Video(write_clip(tmp_path / "a.mp4", count=40)), 12, 12)
    cut = Cut(tiles=1, of=2).apply(talk(clip), encoder)
    assert encoder.measure(cut).tiles == len(encoder.encode(pick_frames(cut)).tiles) == 6


def test_a_long_list_of_frames_is_drawn_from_and_a_short_one_taken(tmp_path: Path, encoder: Encoder) -> None:
    for number in range(20):
        PIL.Image.new("RGB", (8, 8), (10 * number, 0, 0)).save(tmp_path / f"{number}.png")
    names = tuple(tmp_path / f"{number}.png" for number in range(20))
    assert drawn(Video(names[:12]), 8, 12) == Video(names[:12])
    conversation, count = single_frames(talk(Video(names)), 12)
    assert count == 1 and encoder.measure(conversation).tiles == 1
    clips = [pick_frames(talk(drawn(Video(names), 8, 12, visit))).media[0] for visit in range(8)]
    numbers = [clip.picked for clip in clips if isinstance(clip, Video) and clip.picked is not None]
    assert len({len(one) for one in numbers}) > 1 and all(8 <= len(one) <= 12 for one in numbers)
    reds = encoder.encode(talk(clips[0])).tiles[:, 0, 0, 0]  # type: ignore[arg-type]
    assert np.array_equal(reds, [10 * number for number in numbers[0]])


def test_a_clip_that_says_how_is_not_drawn(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    for clip in (Video(path, fps=2), Video(path, frames=3), Video(path, picked=(1, 2))):
        assert drawn(clip, 4, 8) == clip
    with pytest.raises(ValueError, match="10 frames end before 9 s"):
        pick_frames(talk(drawn(Video(path, 9), 4, 8)))
