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
from tessera.imaging.frames import draw_frame_count, sample_training_frames
from tessera.imaging.video import probe_video, read_frames
from tessera.records.source import WeightedSource
from tessera.runtime.seeds import derive_seed


@dataclass(frozen=True)
class DrawnClip(Video):
    """A clip on disk whose `frames` frames are drawn by `seed` when pixels are needed."""

    seed: int = 0


def draw_frames(entry: WeightedSource, seed: int, visit: int, number: int) -> tuple[int, int]:
    """How many frames the `number`-th drawn clip of a record has in a visit, and the seed of which ones."""
    assert entry.frames is not None
    own = derive_seed("clip", seed, entry.source.name, visit, number)
    return draw_frame_count(random.Random(own), *entry.frames), own


def is_drawn(part: Part) -> TypeGuard[Video]:
    """Whether frames of this part are drawn at random: a clip on disk that doesn't say how many it wants."""
    return isinstance(part, Video) and part.frames is None and not isinstance(part.source, tuple)


def draw_clips(conversation: Conversation, entry: WeightedSource, seed: int, visit: int) -> Conversation:
    """The conversation with the frame numbers of this visit; no clip is opened."""
    if entry.frames is None:
        return conversation
    drawn = (draw_frames(entry, seed, visit, number) for number in count())
    return _change_clips(
        conversation, lambda part: DrawnClip(part.source, part.start, part.end, *next(drawn))
    )


def single_frames(conversation: Conversation) -> tuple[Conversation, int]:
    """Every drawn clip with one frame, and how many there are: what an index measures."""
    number = sum(map(is_drawn, conversation.media))
    return _change_clips(conversation, lambda part: replace(part, frames=1)), number


def load_clips(conversation: Conversation) -> Conversation:
    """Drawn clips replaced by their decoded frames."""
    return conversation.map_parts(lambda part: _load(part) if isinstance(part, DrawnClip) else part)


def labelled_frames(most: int) -> Iterator[Conversation]:
    """Conversations with a clip of 1 to `most` frames: their lengths give the price of every frame."""
    blank = PIL.Image.new("RGB", (1, 1))
    for frames in range(1, most + 1):
        message = replace(say("user", ""), parts=(Video((blank,) * frames), Text("\n?")))
        yield Conversation((message, say("assistant", "!")))


def _load(clip: DrawnClip) -> Video:
    """One frame at random from each stretch of the clip between its bounds in seconds."""
    assert clip.frames is not None and not isinstance(clip.source, tuple)
    info = probe_video(clip.source)
    start = clip.start or 0.0
    first, last = int(start * info.fps), info.frames
    if clip.end is not None:
        last = min(last, first + int((clip.end - start) * info.fps))
    if first >= info.frames:
        raise ValueError(
            f"video {clip.source}: {info.frames} frames end before {clip.start} s; correct the bounds"
        )
    rng = random.Random(derive_seed("frames", clip.seed))
    chosen = sample_training_frames(max(1, last - first), clip.frames, rng)
    return Video(tuple(read_frames(clip.source, [first + number for number in chosen])))


def _change_clips(conversation: Conversation, change: Callable[[Video], Video]) -> Conversation:
    """`change` applied to the drawn clips, in order."""
    return conversation.map_parts(lambda part: change(part) if is_drawn(part) else part)
