"""What is wrong with a picture, a clip or a sound, by name: missing, empty, too large, cut off."""

import errno
import os
from pathlib import Path

import PIL.Image

from tessera.audio.container import SoundError, SoundFault
from tessera.audio.decode import read_sound, sound_length
from tessera.chat.message import Audio, Medium, PictureSource, Video
from tessera.imaging.clips.container import DEFAULT_VIDEO_LIMITS, ClipError, ClipFault, clip_name
from tessera.imaging.clips.headers import missing_bytes
from tessera.imaging.clips.stills import stills_of
from tessera.imaging.decode import BOMBS, DEFAULT_LIMITS, DecodeLimits, decode_image, read_size
from tessera.imaging.frames import seconds_to_frames
from tessera.imaging.pictures.reading import PictureReading
from tessera.imaging.pictures.sources import picture_source
from tessera.imaging.video import count_readable, probe_video
from tessera.records.faults import Reason
from tessera.runtime.shown import counted, shown

Problem = tuple[Reason, str]
_ANY_SIZE = DecodeLimits(max_pixels=1 << 62, max_side=1 << 62, max_bytes=1 << 62)
_CLIP_REASONS: dict[ClipFault, Reason] = {
    "missing": Reason.MISSING_FILE,
    "not a video": Reason.NOT_A_VIDEO,
    "huge": Reason.HUGE_VIDEO,
    "broken": Reason.BROKEN_VIDEO,
}
_SOUND_REASONS: dict[SoundFault, Reason] = {
    "missing": Reason.MISSING_FILE,
    "not a sound": Reason.NOT_A_SOUND,
    "huge": Reason.HUGE_SOUND,
    "broken": Reason.BROKEN_SOUND,
}
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


def media_problem(part: Medium, headers_only: bool) -> Problem | None:
    """What is wrong with a picture, clip or sound, or None. What was decoded already is sound."""
    if isinstance(part, Audio):
        return sound_problem(part, headers_only)
    if isinstance(part, Video):
        return clip_problem(part, headers_only)
    sources = (part.source, *part.joined)
    problems = (picture_problem(source, headers_only, part.reading) for source in sources)
    return next((problem for problem in problems if problem is not None), None)


def picture_problem(
    source: PictureSource, headers_only: bool, reading: PictureReading | None = None
) -> Problem | None:
    """What is wrong with a picture, or None. The content decides, not what its name ends in.

    headers_only: pixels are not decoded, so that a picture that was cut off passes.
    """
    try:
        known = picture_source(source)
    except ValueError as error:
        return Reason.NOT_A_PICTURE, str(error)
    if isinstance(known, PIL.Image.Image):
        return None
    if (problem := _file_problem(known, DEFAULT_LIMITS.max_bytes, Reason.HUGE_PICTURE)) is not None:
        return problem
    try:
        read_size(known, reading=reading)
    except (ValueError, OSError) as error:
        return Reason.HUGE_PICTURE if _is_bomb(known, error) else Reason.NOT_A_PICTURE, str(error)
    if headers_only:
        return None
    try:
        decode_image(known, reading=reading)
    except (ValueError, OSError) as error:
        return Reason.BROKEN_PICTURE, str(error)
    return None


def sound_problem(sound: Audio, headers_only: bool) -> Problem | None:
    """What is wrong with a sound, or None. headers_only: nothing is decoded, so that one that was cut off may
    pass."""
    try:
        (sound_length if headers_only else read_sound)(sound.source, sound.start, sound.end)
    except SoundError as error:
        return _SOUND_REASONS[error.fault], str(error)
    return None


def clip_problem(clip: Video, headers_only: bool) -> Problem | None:
    """What is wrong with a clip, or None: every frame that a visit may draw can be read.

    headers_only: no more is decoded than the first frame and what it takes to count, so that a clip that was
    cut off passes.
    """
    source = clip.source
    if not isinstance(source, tuple):
        problem = _file_problem(source, DEFAULT_VIDEO_LIMITS.max_bytes, Reason.HUGE_VIDEO)
        if problem is not None:
            return problem
    try:
        stills = stills_of(source)
        problems = (picture_problem(still, headers_only, clip.reading) for still in stills or ())
        if problem := next((problem for problem in problems if problem is not None), None):
            return problem
        bounded = clip.start is not None or clip.end is not None
        info = probe_video(source, timed=bounded)
        first, behind = seconds_to_frames(info.frames, info.fps, clip.start, clip.end, info.times)
        if first >= info.frames:
            return Reason.BROKEN_VIDEO, f"{clip_name(source)}: {info.frames} frames end before {clip.start} s"
        if headers_only or stills is not None:
            return None
        assert not isinstance(source, tuple)
        # The rule of inference rounds where that of training cuts: up to two frames more.
        last = info.frames - 1 if clip.end is None else min(info.frames - 1, max(first, behind + 2))
        return _unreadable(Path(source), first, last, bounded)
    except ClipError as error:
        return _CLIP_REASONS[error.fault], str(error)
    except (ValueError, OSError) as error:
        return Reason.BROKEN_VIDEO, str(error)


def _unreadable(path: Path, first: int, last: int, bounded: bool) -> Problem | None:
    """The fault of a clip in which frames from `first` to `last` are missing or damaged."""
    with path.open("rb") as file:
        missing = missing_bytes(file)
    wanted, readable = last + 1 - first, count_readable(path, last, first)
    if readable == wanted and not missing:
        return None
    where = f" from frame {first} to {last}" if bounded else ""
    detail = f"{readable} of {counted(wanted, 'frame')}{where} can be read"
    if missing:
        detail = f"the last {counted(missing, 'byte')} are missing, {readable} frames are left"
    return Reason.CUT_VIDEO, f"{path}: {detail}"


def _file_problem(source: bytes | str | Path, most: int, huge: Reason) -> Problem | None:
    """Missing, empty or too large, from the size alone."""
    if isinstance(source, bytes):
        size = len(source)
    else:
        try:
            facts = os.stat(source)
        except (OSError, ValueError) as error:
            gone = not isinstance(error, OSError) or error.errno in _NO_SUCH_FILE
            return Reason.MISSING_FILE if gone else Reason.UNREACHABLE, _name(source)
        size = facts.st_size
    if size == 0:
        return Reason.EMPTY_FILE, _name(source)
    return (huge, f"{_name(source)}: {size} of {most} bytes") if size > most else None


def _is_bomb(source: bytes | str | Path, error: Exception) -> bool:
    """Whether a picture was refused for its size alone."""
    if isinstance(error.__cause__, BOMBS):
        return True
    try:
        read_size(source, _ANY_SIZE)
    except (ValueError, OSError):
        return False
    return True


def _name(source: bytes | str | Path) -> str:
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else shown(Path(source))
