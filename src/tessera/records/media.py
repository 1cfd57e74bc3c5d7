"""What is wrong with a picture or a clip, by name: missing, empty, too large, no picture at all, cut off."""

import errno
import os
from pathlib import Path

import av.error
import PIL.Image

from tessera.chat.message import ClipSource, Image, PictureSource, Video
from tessera.imaging.decode import BOMBS, DEFAULT_LIMITS, DecodeLimits, decode_image, read_size
from tessera.imaging.pictures.reading import PictureReading
from tessera.imaging.pictures.sources import picture_source
from tessera.imaging.video import DEFAULT_VIDEO_LIMITS, VideoInfo, VideoLimits, probe_video
from tessera.records.faults import Reason
from tessera.runtime.shown import shown

Problem = tuple[Reason, str]
_ANY_SIZE = DecodeLimits(max_pixels=1 << 62, max_side=1 << 62, max_bytes=1 << 62)
_ANY_CLIP = VideoLimits(max_frames=1 << 62, max_pixels=1 << 62, max_bytes=1 << 62)
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


def media_problem(part: Image | Video, headers_only: bool) -> Problem | None:
    """What is wrong with a picture or clip, or None. What was decoded already is sound."""
    if isinstance(part, Video):
        return clip_problem(part)
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


def clip_problem(clip: Video) -> Problem | None:
    """What is wrong with a clip, or None: no frames at all, or none between start and end."""
    source = clip.source
    if isinstance(source, tuple):
        return None
    problem = _file_problem(source, DEFAULT_VIDEO_LIMITS.max_bytes, Reason.HUGE_VIDEO)
    if problem is not None:
        return problem
    try:
        info = probe_video(source)
    except (ValueError, OSError) as error:
        return _clip_reason(source, error), str(error)
    if clip.start is not None and clip.start * info.fps >= info.frames:
        return Reason.BROKEN_VIDEO, f"{_name(source)}: {info.frames} frames end before {clip.start} s"
    return None


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


def _clip_reason(source: ClipSource, error: Exception) -> Reason:
    if isinstance(error.__cause__, av.error.FFmpegError):
        return Reason.NOT_A_VIDEO
    try:
        found: VideoInfo = probe_video(source, _ANY_CLIP)
    except (ValueError, OSError):
        return Reason.BROKEN_VIDEO
    return Reason.HUGE_VIDEO if found.frames else Reason.BROKEN_VIDEO


def _name(source: bytes | str | Path) -> str:
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else shown(Path(source))
