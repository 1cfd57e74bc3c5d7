"""Clips to RGB frames: video files, animated pictures, folders of frames, or frames already in memory.

Frame numbers count decoded frames from zero. A file is decoded once, from its start to the last frame asked
for; containers without a frame count are counted by decoding.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import av
import av.container
import av.error
import av.video.stream
import PIL.Image

from tessera.imaging.decode import BROKEN, DEFAULT_LIMITS, DecodeLimits, decode_image, open_lazily, read_size
from tessera.runtime.config import Config

VideoSource = str | Path | tuple[PIL.Image.Image, ...]

ANIMATED_SUFFIXES = (".gif", ".webp", ".png", ".apng")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
FOLDER_FPS = 1.0  # a folder of frames and frames in memory carry no clock
SHORTEN = "cut the clip or raise the limit"


class VideoLimits(Config):
    """How large a clip may be before it is refused."""

    max_frames: int = 500_000
    """Frames in the clip."""
    max_pixels: int = DEFAULT_LIMITS.max_pixels
    """Width times height of a frame."""
    max_bytes: int = 16 * 2**30
    """Size of the file in bytes."""


DEFAULT_VIDEO_LIMITS = VideoLimits()


@dataclass(frozen=True)
class VideoInfo:
    """What a clip holds: decodable frames, average frames per second, size in pixels."""

    frames: int
    fps: float
    width: int
    height: int


def probe_video(source: VideoSource, limits: VideoLimits = DEFAULT_VIDEO_LIMITS) -> VideoInfo:
    """Frames, rate and size of a clip; decodes only where the container does not say how many frames it has.

    Raises ValueError when the clip is missing, broken, beyond the limits or has no frames.
    """
    opened = _file_or_stills(source)
    if isinstance(opened, Path):
        stat = opened.stat()
        if stat.st_size > limits.max_bytes:
            raise _error(opened, f"{stat.st_size} bytes exceed max_bytes={limits.max_bytes}; {SHORTEN}")
        # The stamp makes a rewritten file a new question.
        info = _probe_file(opened, limits, stat.st_mtime_ns, stat.st_size)
    else:
        info = VideoInfo(len(opened), FOLDER_FPS, *read_size(opened[0], _picture_limits(limits)))
    if info.frames > limits.max_frames:
        raise _error(source, f"{info.frames} frames exceed max_frames={limits.max_frames}; {SHORTEN}")
    return info


def read_frames(
    source: VideoSource, indices: Sequence[int], limits: VideoLimits = DEFAULT_VIDEO_LIMITS
) -> list[PIL.Image.Image]:
    """The frames with these numbers as PIL RGB, in the order asked for; a number may repeat.

    Only the frames asked for become pictures. Raises ValueError for a number the clip does not have, and for
    a clip that is missing, broken or beyond the limits.
    """
    info = probe_video(source, limits)
    wanted = set(indices)
    outside = sorted(index for index in wanted if not 0 <= index < info.frames)
    if outside:
        what = f"frames {outside[:5]} are outside its {info.frames} frames"
        raise _error(source, f"{what}; take the numbers from frame_indices()")
    if not wanted:
        return []
    opened = _file_or_stills(source)
    if not isinstance(opened, Path):
        found = {index: decode_image(opened[index], _picture_limits(limits)) for index in wanted}
    elif opened.suffix.lower() in ANIMATED_SUFFIXES:
        with _animation(opened, limits) as image:
            found = {index: _frame_of(image, index) for index in sorted(wanted)}
    else:
        found = _read_stream(opened, wanted)
    return [found[index] for index in indices]


def _read_stream(path: Path, wanted: set[int]) -> dict[int, PIL.Image.Image]:
    """One pass over a video file, converting only the wanted frames."""
    found: dict[int, PIL.Image.Image] = {}
    last, seen = max(wanted), 0
    with _video_stream(path) as (container, stream):
        for seen, frame in enumerate(container.decode(stream), start=1):
            if seen - 1 in wanted:
                found[seen - 1] = PIL.Image.fromarray(frame.to_ndarray(format="rgb24"))
            if seen > last:
                return found
    what = f"ended after {seen} frames though its header promises more than {last}"
    raise _error(path, f"{what}; the file is truncated, replace it or drop the record")


def _frame_of(image: PIL.Image.Image, index: int) -> PIL.Image.Image:
    """A frame of an animated picture. Pillow lays each over the ones before it: ask for them in order."""
    image.seek(index)
    return image.convert("RGB")


@lru_cache(maxsize=4096)
def _probe_file(path: Path, limits: VideoLimits, modified_ns: int, size: int) -> VideoInfo:
    if path.suffix.lower() in ANIMATED_SUFFIXES:
        with _animation(path, limits) as image:
            frames = int(getattr(image, "n_frames", 1))
            milliseconds = float(image.info.get("duration", 0)) or 100.0  # browsers show 0 as 100 ms
            return VideoInfo(frames, 1000.0 / milliseconds, *image.size)
    with _video_stream(path) as (container, stream):
        width, height = stream.width, stream.height
        if width * height > limits.max_pixels:
            limit = f"max_pixels={limits.max_pixels}; scale it down or raise the limit"
            raise _error(path, f"frames of {width}x{height} pixels exceed {limit}")
        rate = stream.average_rate or stream.guessed_rate
        # Decoding is the only count that is sure; it stops just past the limit.
        counted = islice(container.decode(stream), 0 if stream.frames else limits.max_frames + 1)
        frames = stream.frames or sum(1 for _ in counted)
    if frames < 1 or width < 1 or height < 1:
        raise _error(path, "it has no frames; replace the file or drop the record")
    return VideoInfo(frames, float(rate) if rate else FOLDER_FPS, width, height)


def _file_or_stills(source: VideoSource) -> Path | Sequence[Path | PIL.Image.Image]:
    """A file, which has to be decoded, or the frames in memory or in a folder."""
    if isinstance(source, tuple):
        if not source:
            raise ValueError("video: an empty tuple of frames; pass at least one picture")
        return source
    if not (path := Path(source)).exists():
        raise _error(path, "no such file or folder; check the path")
    return _frame_paths(path) if path.is_dir() else path


def _frame_paths(folder: Path) -> list[Path]:
    """The pictures of a folder by the number that ends their name: frame_2 before frame_10."""
    numbered: list[tuple[int, str, Path]] = []
    for path in folder.iterdir():
        if path.suffix.lower() not in PICTURE_SUFFIXES or path.name.startswith("."):
            continue
        if not (digits := re.split(r"\D", path.stem)[-1]):
            what = f"'{path.name}' does not end in a number; name frames *_1.jpg, ..."
            raise ValueError(f"video folder '{folder}': {what}")
        numbered.append((int(digits), path.name, path))
    if not numbered:
        raise ValueError(f"video folder '{folder}': it holds no pictures; name frames *_1.jpg, *_2.jpg, ...")
    return [path for _, _, path in sorted(numbered)]


@contextmanager
def _animation(path: Path, limits: VideoLimits) -> Iterator[PIL.Image.Image]:
    """The opened animated picture; Pillow's errors become ValueErrors that name the file."""
    with open_lazily(path, _picture_limits(limits)) as image:
        try:
            yield image
        except BROKEN as error:
            raise _error(path, f"frames are broken ({error}); replace the file") from error


@contextmanager
def _video_stream(path: Path) -> Iterator[tuple[av.container.InputContainer, av.video.stream.VideoStream]]:
    """The opened file and its first video stream; FFmpeg's errors become ValueErrors that name the file."""
    try:
        with av.open(str(path), mode="r") as container:
            if not container.streams.video:
                raise _error(path, "no video stream; replace the file or drop the record")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield container, stream
    except av.error.FFmpegError as error:
        raise _error(path, f"broken or not a video ({error}); replace the file") from error


def _picture_limits(limits: VideoLimits) -> DecodeLimits:
    return DecodeLimits(max_pixels=limits.max_pixels)


def _error(source: VideoSource, what: str) -> ValueError:
    name = f"<{len(source)} frames>" if isinstance(source, tuple) else f"'{source}'"
    return ValueError(f"video {name}: {what}")
