"""Which frames of a clip a model sees: the published inference rule and the training sampler.

Works on counts and times alone; `video.py` reads the pixels.
"""

import math
import random

import numpy as np
import numpy.typing as npt

from tessera.runtime.shown import shown

MOST_FRAMES = 512
"""Most frames that a message or a manifest may ask for."""
MOST_RATE = 240.0
"""Most frames per second that they may ask for."""
Times = npt.NDArray[np.float64]
"""float64 [frames + 1]: when each frame of a clip is first shown, and when it ends, in seconds."""
_NOISE = 1e-6
"""Seconds: what is so near is the same instant."""


def frame_indices(
    total: int,
    fps: float,
    count: int,
    start: float | None = None,
    end: float | None = None,
    times: Times | None = None,
) -> list[int]:
    """`count` frame numbers spread over the clip, by the published inference rule (docs/facts/imaging.md).

    `total` frames at `fps` per second; `start` and `end` bound the clip in seconds, None is its own end.
    times: of a clip whose rate varies; the bounds are then the frames nearest to them in time.
    Numbers ascend, lie inside the bounds and repeat when the clip has fewer frames than `count`.
    Raises ValueError when a number is out of range or the bounds leave nothing.
    """
    _check(total, count)
    last = total - 1
    if (start is not None or end is not None) and not fps > 0:
        raise ValueError(f"fps={fps} cannot place start and end; give a positive rate or no bounds")
    first_index = 0 if start is None else max(0, _nearest(start, fps, times))
    last_index = last if end is None else min(_nearest(end, fps, times), last)
    if first_index > last_index:
        raise ValueError(
            f"start={start} and end={end} seconds leave no frame of a clip of {total} frames at {fps} fps; "
            "choose bounds inside the clip"
        )
    segment = (last_index - first_index) / count
    # Python's round, like numpy's, takes halves to the even neighbour; the published code uses numpy's.
    return [int(first_index + segment / 2 + round(segment * index)) for index in range(count)]


def frames_by_rate(
    total: int,
    fps: float,
    rate: float,
    start: float | None = None,
    end: float | None = None,
    times: Times | None = None,
) -> list[int]:
    """Numbers of the frames that are shown at `start`, `start + 1 / rate`, and so on, before `end`.

    No frame comes twice: a rate above the clip's own takes every frame. The rest as in `frame_indices`.
    """
    if problem := rate_problem(rate):
        raise ValueError(problem)
    _check(total, 1)
    begin = 0.0 if start is None else start
    finish = total / fps if times is None else float(times[-1])
    finish = finish if end is None else min(end, finish)
    if not begin < finish:
        raise ValueError(
            f"start={start} and end={end} seconds leave no frame of a clip of {total} frames at {fps:g} fps; "
            "choose bounds inside the clip"
        )
    first, last = _shown_at(begin, fps, times), min(_shown_at(finish - 2 * _NOISE, fps, times), total - 1)
    wanted = math.ceil((finish - begin) * rate - _NOISE)
    if wanted > 4 * total:  # finer than needed: every frame that is shown between
        return list(range(first, last + 1))
    instants = (begin + number / rate for number in range(wanted))
    return list(dict.fromkeys(min(_shown_at(instant, fps, times), last) for instant in instants))


def spread_frames(total: int, count: int) -> list[int]:
    """The middles of `count` stretches of a clip, by the rule of video retrieval (docs/facts/embedding.md).

    Numbers ascend and do not repeat: fewer come from a clip that has fewer frames, and where the stretches,
    rounded up, reach beyond its end. Raises ValueError when a number is out of range.
    """
    _check(total, count)
    stretch = math.ceil(total / count)
    return [start + min(stretch // 2, total - 1 - start) for start in range(0, total, stretch)]


def seconds_to_frames(
    total: int, fps: float, start: float | None, end: float | None, times: Times | None
) -> tuple[int, int]:
    """First frame and one behind the last between bounds in seconds, as training counts them."""
    begin = start or 0.0
    if times is None:
        first = int(begin * fps)
        return first, total if end is None else min(total, first + int((end - begin) * fps))
    first = _shown_at(begin, fps, times)
    return first, total if end is None else min(total, int(np.searchsorted(times, end - _NOISE)))


def rate_problem(rate: object) -> str | None:
    """What is wrong with the frames a second that someone asks for; None when they fit."""
    if type(rate) in (int, float) and 0 < rate <= MOST_RATE:  # type: ignore[operator]
        return None
    return f"fps={shown(rate)} is no number of frames a second above 0 and up to {MOST_RATE:g}"


def _nearest(second: float, fps: float, times: Times | None) -> int:
    return round(second * fps) if times is None else int(np.abs(times - second).argmin())


def _shown_at(second: float, fps: float, times: Times | None) -> int:
    """The frame that is shown at an instant; one behind the last when the clip is over."""
    if times is None:
        return int((second + _NOISE) * fps)
    return int(np.searchsorted(times, second + _NOISE, side="right")) - 1


def sample_training_frames(total: int, count: int, rng: random.Random) -> list[int]:
    """`count` frame numbers of a clip of `total` frames, one at random from each stretch of it
    (docs/facts/imaging.md).

    The clip is split into min(count, total) stretches by whole-numbered bounds. As in the published sampler a
    stretch leaves out its last frame; where that leaves nothing, a sorted random subset is taken instead. A
    clip that is too short is padded with its last chosen frame. Ascending; raises ValueError below one frame.
    """
    _check(total, count)
    stretches = min(count, total)
    bounds = np.linspace(0, total, stretches + 1).astype(int).tolist()
    widths = [high - 1 - low for low, high in zip(bounds, bounds[1:], strict=False)]
    if min(widths) > 0:
        chosen = [low + rng.randrange(width) for low, width in zip(bounds, widths, strict=False)]
    else:
        chosen = sorted(rng.sample(range(total), stretches))
    return chosen + [chosen[-1]] * (count - stretches)


def draw_frame_count(rng: random.Random, min_frames: int = 8, max_frames: int = 32) -> int:
    """How many frames a training clip gets: uniform over the integers from min to max inclusive."""
    if not 1 <= min_frames <= max_frames:
        raise ValueError(f"min_frames={min_frames}, max_frames={max_frames}; keep 1 <= min <= max")
    return rng.randint(min_frames, max_frames)


def _check(total: int, count: int) -> None:
    if total < 1:
        raise ValueError(f"total={total} frames: the clip is empty; replace the file or drop the record")
    if count < 1:
        raise ValueError(f"count={count} frames asked for; ask for at least one")
