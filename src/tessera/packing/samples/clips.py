"""Clips in training: another number of frames and other frames in every visit (docs/facts/imaging.md),
reproducibly.

How many frames a visit takes follows from a hash alone, so lengths are known before a clip is opened.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeGuard

import PIL.Image

from tessera.chat.message import Conversation, Part, Text, Video, say
from tessera.imaging.frames import draw_frame_count, sample_training_frames, seconds_to_frames
from tessera.imaging.video import probe_video
from tessera.records.source import WeightedSource
from tessera.runtime.seeds import derive_seed


@dataclass(frozen=True)
class DrawnClip(Video):
    """A clip on disk whose `frames` frames are drawn by `seed` when pixels are needed.

    `picked` holds their places till then.
    """

    seed: int = 0


def draw_frames(entry: WeightedSource, seed: int, visit: int, number: int) -> tuple[int, int]:
    """How many frames the `number`-th drawn clip of a record has in a visit, and the seed of which ones."""
    assert entry.frames is not None
    own = derive_seed("clip", seed, entry.source.name, visit, number)
    return draw_frame_count(random.Random(own), *entry.frames), own


def is_drawn(part: Part, most: int) -> TypeGuard[Video]:
    """Whether frames of this part are drawn at random: a clip on disk that doesn't say how many it wants.

    Frames that are listed are all taken, unless there are more than `most`; so are those in memory.
    """
    if not isinstance(part, Video) or (part.frames, part.fps, part.picked) != (None, None, None):
        return False
    if not isinstance(part.source, tuple):
        return True
    return len(part.source) > most and not any(isinstance(s, PIL.Image.Image) for s in part.source)


def draw_clips(conversation: Conversation, entry: WeightedSource, seed: int, visit: int) -> Conversation:
    """The conversation with the frame numbers of this visit; no clip is opened."""
    if entry.frames is None:
        return conversation
    drawn = (draw_frames(entry, seed, visit, number) for number in count())

    def draw(part: Video) -> DrawnClip:
        frames, own = next(drawn)
        return DrawnClip(
            part.source, part.start, part.end, frames, picked=(0,) * frames, reading=part.reading, seed=own
        )

    return _change_clips(conversation, entry.frames[1], draw)


def single_frames(conversation: Conversation, most: int) -> tuple[Conversation, int]:
    """Every drawn clip with one frame, and how many there are: what an index measures."""
    number = sum(is_drawn(part, most) for part in conversation.media)
    return _change_clips(conversation, most, lambda part: replace(part, frames=1)), number


def pick_frames(conversation: Conversation) -> Conversation:
    """Drawn clips with the numbers of their frames, by the headers of their files."""
    return conversation.map_parts(lambda part: _pick(part) if isinstance(part, DrawnClip) else part)


def labelled_frames(most: int) -> Iterator[Conversation]:
    """Conversations with a clip of 1 to `most` frames: their lengths give the price of every frame."""
    blank = PIL.Image.new("RGB", (1, 1))
    for frames in range(1, most + 1):
        message = replace(say("user", ""), parts=(Video((blank,), picked=(0,) * frames), Text("\n?")))
        yield Conversation((message, say("assistant", "!")))


def _pick(clip: DrawnClip) -> Video:
    """One frame at random from each stretch of the clip between its bounds in seconds."""
    assert clip.frames is not None
    bounded = clip.start is not None or clip.end is not None
    info = probe_video(clip.source, timed=bounded)
    first, last = seconds_to_frames(info.frames, info.fps, clip.start, clip.end, info.times)
    if first >= info.frames:
        raise ValueError(
            f"video {clip.source}: {info.frames} frames end before {clip.start} s; correct the bounds"
        )
    rng = random.Random(derive_seed("frames", clip.seed))
    chosen = sample_training_frames(max(1, last - first), clip.frames, rng)
    return Video(clip.source, reading=clip.reading, picked=tuple(first + number for number in chosen))


def _change_clips(conversation: Conversation, most: int, change: Callable[[Video], Video]) -> Conversation:
    """`change` applied to the drawn clips, in order."""
    return conversation.map_parts(lambda part: change(part) if is_drawn(part, most) else part)
