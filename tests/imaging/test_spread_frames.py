"""Frames for video retrieval, by the published rule and where that rule has no answer."""

import numpy as np
import pytest

from tessera.imaging.frames import spread_frames


@pytest.mark.parametrize(("total", "count"), [(300, 8), (450, 1), (64, 8), (41, 8), (1, 1)])
def test_frames_are_those_of_the_published_rule(total: int, count: int) -> None:
    interval = int(np.ceil(total / count))
    published = np.arange(0, total, interval) + interval // 2
    if len(published) == count and published[-1] < total:  # what the published code asserts
        assert spread_frames(total, count) == published.tolist()
    else:
        assert max(spread_frames(total, count)) < total


def test_short_clips_give_every_frame() -> None:
    assert spread_frames(3, 8) == [0, 1, 2]
    with pytest.raises(ValueError, match="ask for at least one"):
        spread_frames(3, 0)
