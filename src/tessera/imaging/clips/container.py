"""Video files opened so that their content alone is read: a closed list of containers, no name, no network.

FFmpeg gets the opened file, never its name, which it might take for a protocol, a playlist or a pattern. No
container of the list reads further files unless asked to, and those that still ask are refused.
"""

import math
import struct
from bisect import bisect_left, insort
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, NoReturn

import av
import av.container
import av.error
import av.packet
import av.video.frame
import av.video.stream
import PIL.Image
from av.stream import Disposition

from tessera.imaging.clips.headers import MOST_SAMPLES, promised_samples
from tessera.imaging.decode import DEFAULT_LIMITS, DecodeLimits, name_of
from tessera.imaging.pictures.sources import Source
from tessera.runtime.config import Config
from tessera.runtime.media.contents import FOREIGN, open_content
from tessera.runtime.shown import shown

VideoSource = str | Path | tuple[Source, ...]
ClipFault = Literal["missing", "not a video", "huge", "broken"]

CONTAINERS = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "ivf",
    "h264", "hevc", "m4v", "mpegvideo",
)  # fmt: skip
"""FFmpeg's names of the containers that are read; mov is also mp4 and 3gp, matroska also webm, asf wmv."""
_KNOWN = "mp4, mov, mkv, webm, avi, mpeg, ts, flv, wmv or ogv"
_COVERS = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
_MOST_THREADS = 16
_THREADED_PIXELS = 2**27
"""Each thread holds frames of its own: no more than this many pixels in all of them."""


class VideoLimits(Config):
    """How large a clip may be before it is refused."""

    max_frames: int = 500_000
    """Frames in the clip."""
    max_pixels: int = 2**25
    """Width times height of a frame; the default is a little more than 8K."""
    max_volume: int = 2**40
    """Frames times pixels of a frame; the default is two hours of 1080p at 60 frames a second."""
    max_bytes: int = 16 * 2**30
    """Size of the file in bytes."""
    stills: DecodeLimits = DEFAULT_LIMITS
    """What a frame may be that is a picture file of its own."""


DEFAULT_VIDEO_LIMITS = VideoLimits()


class ClipError(ValueError):
    """A clip that cannot be read; `fault` says in which way."""

    def __init__(self, message: str, fault: ClipFault) -> None:
        super().__init__(message)
        self.fault = fault

    def __reduce__(self) -> tuple[type["ClipError"], tuple[str, ClipFault]]:
        return type(self), (str(self), self.fault)


def clip_error(source: VideoSource, what: str, fault: ClipFault = "broken") -> ClipError:
    """The error about a clip, which names it."""
    return ClipError(f"video {clip_name(source)}: {what}", fault)


def clip_name(source: VideoSource) -> str:
    """How messages name a clip."""
    return f"<{len(source)} frames>" if isinstance(source, tuple) else name_of(source)


@contextmanager
def blamed(path: Path, what: str, fault: ClipFault = "broken") -> Iterator[None]:
    """Whatever a decoder raises inside is a ClipError about the file."""
    try:
        yield
    except ClipError:
        raise
    except FOREIGN as error:
        told = error.strerror if isinstance(error, av.error.FFmpegError) else error
        cause = shown(str(told or type(error).__name__), bare=True)
        raise clip_error(path, f"{what} ({cause}); replace the file or drop the record", fault) from error


@dataclass(frozen=True)
class OpenedClip:
    """An opened video file and the stream that a player shows.

    strict: go on behind damage. lost: time stamps of the frames that broke, if so.
    """

    path: Path
    container: av.container.InputContainer
    stream: av.video.stream.VideoStream
    limits: VideoLimits
    strict: bool
    lost: list[float] = field(default_factory=list)

    def packets(self) -> "Iterator[av.packet.Packet[av.video.stream.VideoStream]]":
        """Packets of the stream in the order of the file, no more than the limits allow."""
        return islice(self.container.demux(self.stream), 2 * self.limits.max_frames + 64)

    def frames(self) -> Iterator[tuple[int, av.video.frame.VideoFrame]]:
        """Numbers and frames in the order in which they are shown; broken ones leave a gap in the numbers.

        Raises ClipError when there is no decoder, when storage fails, and, unless strict, for damage.
        """
        if self.stream.codec_context is None:
            self._refuse_codec()
        count = 0
        for packet in self._packets_or_gaps():
            for frame in self._decoded(packet):
                # A frame that broke may be one that is shown later than this.
                gaps = len(self.lost) if frame.pts is None else bisect_left(self.lost, frame.pts)
                yield count + gaps, frame
                count += 1

    def _packets_or_gaps(self) -> "Iterator[av.packet.Packet[av.video.stream.VideoStream]]":
        """The packets; where the file breaks off, at least one frame is lost."""
        with blamed(self.path, "broken"):
            try:
                yield from self.packets()
            except av.error.InvalidDataError:
                self.lost.append(math.inf)

    def _decoded(
        self, packet: "av.packet.Packet[av.video.stream.VideoStream]"
    ) -> list[av.video.frame.VideoFrame]:
        """The frames that are finished with a packet; none, and one lost, for a packet that is broken."""
        with blamed(self.path, "broken"):
            try:
                return packet.decode()
            except av.error.FFmpegError:
                stamp = packet.dts if packet.pts is None else packet.pts
                if not self.strict or stamp is None:  # without a stamp nobody knows which frame it was
                    raise
                insort(self.lost, stamp)
                return []

    def _refuse_codec(self) -> NoReturn:
        what = "no decoder for its codec here; convert it to H.264 or drop the record"
        raise clip_error(self.path, what, "not a video")


@contextmanager
def opened_clip(path: Path, limits: VideoLimits, strict: bool = False) -> Iterator[OpenedClip]:
    """The opened file; ClipError for whatever is wrong with it.

    strict: damage is known to the frame, and those around it are whole. Decoders that work at several frames
    at once are quicker, but tell of damage late, lose sound frames with it, and may forget to tell.
    """
    with blamed(path, "unreadable", "missing"):
        file = path.open("rb")
    with file:
        with blamed(path, "unreadable", "missing"):
            head, samples = file.read(3), promised_samples(file)
        if head == b"\xff\xd8\xff":
            what = "a still picture; name it as a picture, or a clip as a list of such files"
            raise clip_error(path, what, "not a video")
        if samples > MOST_SAMPLES:
            what = f"its header promises {samples} samples, limit {MOST_SAMPLES}"
            raise clip_error(path, f"{what}; cut the clip or write it anew", "huge")
        with blamed(path, f"broken, or no {_KNOWN}", "not a video"):
            container = open_content(file, CONTAINERS)
        with container:
            with blamed(path, "broken header", "not a video"):
                stream = _shown_stream(path, container)
                if stream.codec_context is not None:
                    _bound(stream, limits, strict)
            yield OpenedClip(path, container, stream, limits, strict)


def _shown_stream(path: Path, container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """The default stream, else the first; one that can be decoded before others, a cover never."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _COVERS]
    if not streams:
        raise clip_error(path, "no video stream; replace the file or drop the record", "not a video")
    return max(
        streams, key=lambda s: (s.codec_context is not None, Disposition.default in s.disposition, -s.index)
    )


def _bound(stream: av.video.stream.VideoStream, limits: VideoLimits, strict: bool) -> None:
    """Decoders refuse frames beyond the limit before they ask for memory; threads are as many as that has."""
    stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
    pixels = max(1, stream.codec_context.width * stream.codec_context.height)
    stream.codec_context.thread_type = "SLICE" if strict else "AUTO"
    if pixels * _MOST_THREADS > _THREADED_PIXELS:
        stream.codec_context.thread_count = max(1, _THREADED_PIXELS // pixels)


def turn_of(frame: av.video.frame.VideoFrame) -> PIL.Image.Transpose | None:
    """What makes a stored frame upright, as its display matrix says; None where nothing has to be done.

    Only quarters and mirror images; other angles stay as they are stored, as in players.
    """
    try:
        matrix = bytes(frame.side_data["DISPLAYMATRIX"])  # type: ignore[typeddict-item]
    except KeyError:
        return None
    except ValueError:  # PyAV refuses to list side data that it does not know
        return _ANGLES.get(frame.rotation)
    if len(matrix) != 36:
        return None
    # A point (x, y) is shown at (a x + c y, b x + d y), y downwards.
    a, b, _, c, d, *_ = struct.unpack("9i", matrix)
    if abs(b) + abs(c) < (abs(a) + abs(d)) / 64:
        return _UPRIGHT.get((a > 0, d > 0))
    return _QUARTERS.get((b > 0, c > 0)) if abs(a) + abs(d) < (abs(b) + abs(c)) / 64 else None


_UPRIGHT = {
    (False, True): PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    (True, False): PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    (False, False): PIL.Image.Transpose.ROTATE_180,
}
_QUARTERS = {
    (False, True): PIL.Image.Transpose.ROTATE_90,
    (True, False): PIL.Image.Transpose.ROTATE_270,
    (True, True): PIL.Image.Transpose.TRANSPOSE,
    (False, False): PIL.Image.Transpose.TRANSVERSE,
}
_ANGLES = {
    90: PIL.Image.Transpose.ROTATE_90,
    -90: PIL.Image.Transpose.ROTATE_270,
    180: PIL.Image.Transpose.ROTATE_180,
    -180: PIL.Image.Transpose.ROTATE_180,
}
QUARTER_TURNS = frozenset(_QUARTERS.values())


def upright(frame: av.video.frame.VideoFrame) -> PIL.Image.Image:
    """The frame as PIL RGB, as players show it; without a rotation the pixels as they are stored."""
    picture = PIL.Image.fromarray(frame.to_ndarray(format="rgb24"))
    turn = turn_of(frame)
    return picture if turn is None else picture.transpose(turn)
