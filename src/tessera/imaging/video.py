"""Clips to RGB frames: video files, animated pictures, and stills in a folder, a list or memory.

Frame numbers count decoded frames from zero. A file is decoded once, from its start to the last frame asked
for; containers without a frame count are counted by decoding. Frames are upright, as players show them; their
sample aspect ratio is left alone, as the published decoder leaves it.
"""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from tessera.imaging.clips import animation
from tessera.imaging.clips.container import (
    DEFAULT_VIDEO_LIMITS,
    QUARTER_TURNS,
    ClipError,
    OpenedClip,
    VideoLimits,
    VideoSource,
    blamed,
    clip_error,
    opened_clip,
    turn_of,
    upright,
)
from tessera.imaging.clips.stills import clip_path, stills_of
from tessera.imaging.decode import decode_image, read_size
from tessera.imaging.fast_resize.memo import remembered
from tessera.imaging.pictures.reading import PictureReading

FOLDER_FPS = 1.0  # stills carry no clock
MOST_HELD = 2**30
"""Bytes that frames held at once may take."""
REMEMBERED = 32 * 2**20
"""Bytes of what is known about clips."""
SHORTEN = "cut the clip or raise the limit"
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class VideoInfo:
    """What a clip holds: decodable frames, average frames per second, size in pixels as it is shown.

    times: float64 [frames + 1], when each frame is first shown and when the clip ends, in seconds from the
    first frame; None where the rate is constant, or where nobody asked.
    """

    frames: int
    fps: float
    width: int
    height: int
    times: NDArray[np.float64] | None = field(default=None, compare=False)


def probe_video(
    source: VideoSource, limits: VideoLimits = DEFAULT_VIDEO_LIMITS, timed: bool = False
) -> VideoInfo:
    """Frames, rate and size of a clip; decodes only where the container does not say how many frames it has.

    timed: read the time stamps, too, for which the whole file is read. Raises ClipError, a ValueError, when
    the clip is missing, broken, beyond the limits or has no frames.
    """
    stills = stills_of(source)
    if stills is not None:
        info = VideoInfo(len(stills), FOLDER_FPS, *read_size(stills[0], limits.stills))
        _check_size(source, info, limits.model_copy(update={"max_pixels": limits.stills.max_pixels}))
        return info
    path = _path(source)
    with blamed(path, "no such file or folder", "missing"):
        facts = os.stat(path)
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe or a device might never end
        raise clip_error(path, "neither a file nor a folder; check the path", "missing")
    if facts.st_size > limits.max_bytes:
        raise clip_error(
            path, f"{facts.st_size} bytes exceed max_bytes={limits.max_bytes}; {SHORTEN}", "huge"
        )
    # The stamp makes a rewritten file a new question.
    return (_probe_timed if timed else _probe_file)(path, limits, facts.st_mtime_ns, facts.st_size)


def read_frames(
    source: VideoSource, indices: Sequence[int], limits: VideoLimits = DEFAULT_VIDEO_LIMITS
) -> list[PIL.Image.Image]:
    """The frames with these numbers as PIL RGB, in the order asked for; a number may repeat.

    Raises ClipError as `convert_frames` does, and for frames that take more than 1 GiB in memory.
    """
    info = probe_video(source, limits)
    held = 3 * info.width * info.height * len(set(indices))
    if held > MOST_HELD:
        what = f"{len(set(indices))} frames of {info.width}x{info.height} take {held} bytes"
        raise clip_error(source, f"{what}, limit {MOST_HELD}; ask for fewer, or use convert_frames()", "huge")
    return convert_frames(source, indices, lambda frame: frame, limits)


def convert_frames(
    source: VideoSource,
    indices: Sequence[int],
    convert: Callable[[PIL.Image.Image], Kept],
    limits: VideoLimits = DEFAULT_VIDEO_LIMITS,
    reading: PictureReading | None = None,
) -> list[Kept]:
    """What `convert` makes of the frames with these numbers; only one of them is in memory at a time.

    It is given PIL RGB. reading: how frames that are pictures become so; None reads as published. Raises
    ClipError for a number that the clip does not have, a frame that is damaged, and a clip that is missing,
    broken or beyond the limits.
    """
    info = probe_video(source, limits)
    wanted = set(indices)
    outside = sorted(index for index in wanted if not 0 <= index < info.frames)
    if outside:
        what = f"frames {outside[:5]} are outside its {info.frames} frames"
        raise clip_error(source, f"{what}; take the numbers from frame_indices()")
    if not wanted:
        return []
    if (stills := stills_of(source)) is not None:
        found = {n: convert(decode_image(stills[n], limits.stills, reading)) for n in sorted(wanted)}
    elif animation.is_animation(path := _path(source)):
        frames = animation.frames_of(path, sorted(wanted))
        found = {n: convert(decode_image(frame, reading=reading)) for n, frame in frames}
    else:
        found = _quick_or_strict(lambda strict: _read_stream(path, wanted, limits, convert, strict))
    return [found[index] for index in indices]


def count_readable(path: Path, last: int, first: int = 0, limits: VideoLimits = DEFAULT_VIDEO_LIMITS) -> int:
    """How many of the frames from `first` to `last`, both included, are there and undamaged in a file."""
    if animation.is_animation(path):
        return animation.count_readable(path, first, last)
    good = 0
    with opened_clip(path, limits, strict=True) as clip:
        for number, frame in clip.frames():
            good += first <= number <= last and not frame.is_corrupt
            if number >= last:
                break
    return good


def _quick_or_strict(work: Callable[[bool], Kept]) -> Kept:
    """What `work` gives; done again strictly where there is damage."""
    try:
        return work(False)
    except ClipError as error:
        if error.fault != "broken":
            raise
        return work(True)


def _path(source: VideoSource) -> Path:
    assert not isinstance(source, tuple)  # tuples are stills
    return clip_path(source)


def _read_stream(
    path: Path,
    wanted: set[int],
    limits: VideoLimits,
    convert: Callable[[PIL.Image.Image], Kept],
    strict: bool,
) -> dict[int, Kept]:
    """One pass over a video file, converting only the wanted frames."""
    found: dict[int, Kept] = {}
    last, seen = max(wanted), 0
    with opened_clip(path, limits, strict) as clip:
        for number, frame in clip.frames():
            seen += 1
            if number in wanted:
                if frame.is_corrupt:
                    raise clip_error(path, f"frame {number} is damaged; replace the file or drop the record")
                with blamed(path, f"frame {number} cannot be shown"):
                    picture = upright(frame)
                found[number] = convert(picture)
            if number >= last:
                break
    if missing := sorted(wanted - found.keys()):
        what = f"frames {missing[:5]} cannot be read, {seen} of the first {last + 1} can"
        raise clip_error(path, f"{what}; the file is cut off or damaged, replace it or drop the record")
    return found


def _bytes_of(info: VideoInfo) -> int:
    return 1024 + (0 if info.times is None else info.times.nbytes)


@remembered(REMEMBERED, _bytes_of)
def _probe_file(path: Path, limits: VideoLimits, modified_ns: int, size: int) -> VideoInfo:
    if animation.is_animation(path):
        frames, fps, shape = animation.probe(path)
        info = VideoInfo(frames, fps, *shape)
    else:
        info = _quick_or_strict(lambda strict: _probe_stream(path, limits, strict))
    _check_size(path, info, limits)
    return info


def _probe_stream(path: Path, limits: VideoLimits, strict: bool) -> VideoInfo:
    with opened_clip(path, limits, strict) as clip:
        stream = clip.stream
        if stream.codec_context is not None:
            # Before a frame is decoded; the count is looked at again when it is known.
            known = max(1, stream.frames)
            _check_size(path, VideoInfo(known, 1.0, max(1, stream.width), max(1, stream.height)), limits)
        frames = clip.frames()
        _, first = next(frames, (0, None))
        if first is None:
            raise clip_error(path, "it has no frame that can be read; replace the file or drop the record")
        with blamed(path, "broken frames"):
            turned = turn_of(first) in QUARTER_TURNS
            width, height = (first.height, first.width) if turned else (first.width, first.height)
            rate = stream.average_rate or stream.guessed_rate
            count = _promised(clip)
        if not count:
            # Decoding is the only count that is sure; it stops just past the limit.
            most = min(limits.max_frames, limits.max_volume // (width * height))
            count = 1 + sum(1 for _ in islice(frames, most)) + len(clip.lost)
    return VideoInfo(count, float(rate) if rate and rate > 0 else FOLDER_FPS, width, height)


def _promised(clip: OpenedClip) -> int:
    """Frames by the header of an mp4 or mov, 0 for others: an AVI counts frames that it left out, too.

    Not counted are those that an edit list leaves out.
    """
    count, entries = clip.stream.frames, clip.stream.index_entries
    if count <= 0 or not clip.container.format.name.startswith("mov"):
        return 0
    return sum(not entry.is_discard for entry in entries) if len(entries) else count


def _check_size(source: VideoSource, info: VideoInfo, limits: VideoLimits) -> None:
    pixels = info.width * info.height
    if info.frames < 1 or pixels < 1:
        raise clip_error(source, "it has no frames; replace the file or drop the record")
    if pixels > limits.max_pixels:
        limit = f"max_pixels={limits.max_pixels}; scale it down or raise the limit"
        raise clip_error(source, f"frames of {info.width}x{info.height} pixels exceed {limit}", "huge")
    if info.frames > limits.max_frames:
        limit = f"max_frames={limits.max_frames}"
        raise clip_error(source, f"{info.frames} frames exceed {limit}; {SHORTEN}", "huge")
    if info.frames * pixels > limits.max_volume:
        limit = f"max_volume={limits.max_volume}"
        what = f"{info.frames} frames of {info.width}x{info.height} pixels"
        raise clip_error(source, f"{what} exceed {limit}; {SHORTEN}", "huge")


@remembered(REMEMBERED, _bytes_of)
def _probe_timed(path: Path, limits: VideoLimits, modified_ns: int, size: int) -> VideoInfo:
    info = _probe_file(path, limits, modified_ns, size)
    if animation.is_animation(path):
        times = animation.times_of(path, info.frames)
    else:
        times = _stream_times(path, info, limits)
    return info if times is None else VideoInfo(info.frames, info.fps, info.width, info.height, times)


def _stream_times(path: Path, info: VideoInfo, limits: VideoLimits) -> NDArray[np.float64] | None:
    """When frames are shown, by the stamps of their packets, or of the decoded frames where these are more or
    fewer; None at a constant rate, and where stamps are missing."""
    with opened_clip(path, limits) as clip:
        base = float(clip.stream.time_base or 0)
        with blamed(path, "broken packets"):
            stamps = [packet.pts for packet in clip.packets() if packet.size and not packet.is_discard]
    if len(stamps) != info.frames and None not in stamps:
        with opened_clip(path, limits, strict=True) as clip:
            stamps = [frame.pts for _, frame in clip.frames()]
    if None in stamps or len(stamps) != info.frames or not base > 0:
        return None
    times = np.sort(np.array(stamps, np.float64) * base)
    times -= times[0]
    # Rounded stamps stay within half a frame of their place.
    if np.abs(times - np.arange(len(times)) / info.fps).max() <= 0.5 / info.fps:
        return None
    return np.append(times, times[-1] + times[-1] / max(1, len(times) - 1))
