"""Which frames of a clip a model sees: the published inference rule and the training sampler.

Works on counts alone; `video.py` reads the pixels.
"""

import random

import numpy as np


def frame_indices(
    total: int, fps: float, count: int, start: float | None = None, end: float | None = None
) -> list[int]:
    """`count` frame numbers spread over the clip, by the published inference rule (docs/facts/imaging.md).

    `total` frames at `fps` per second; `start` and `end` bound the clip in seconds, None is its own end.
    Numbers ascend, lie inside the bounds and repeat when the clip has fewer frames than `count`.
    Raises ValueError when a number is out of range or the bounds leave nothing.
    """
    _check(total, count)
    last = total - 1
    if (start is not None or end is not None) and not fps > 0:
        raise ValueError(f"fps={fps} cannot place start and end; give a positive rate or no bounds")
    first_index = 0 if start is None else max(0, round(start * fps))
    last_index = last if end is None else min(round(end * fps), last)
    if first_index > last_index:
        raise ValueError(
            f"start={start} and end={end} seconds leave no frame of a clip of {total} frames at {fps} fps; "
            "choose bounds inside the clip"
        )
    segment = (last_index - first_index) / count
    # Python's round, like numpy's, takes halves to the even neighbour; the published code uses numpy's.
    return [int(first_index + segment / 2 + round(segment * index)) for index in range(count)]


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
