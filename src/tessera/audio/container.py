"""Sound files opened so that their content alone is read: a closed list of containers, no name, no network.

FFmpeg gets the opened file, never its name, which it might take for a protocol, a playlist or a pattern.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Literal

import av
import av.audio.stream
import av.container
import av.error

from tessera.audio.sources import name_of, sound_source
from tessera.runtime.config import Config
from tessera.runtime.media.contents import FOREIGN, open_content
from tessera.runtime.shown import shown

CONTAINERS = (
    "wav", "mp3", "flac", "ogg", "mov", "matroska", "aac", "aiff", "au", "caf", "w64", "amr", "asf", "ac3",
    "avi", "mpegts", "mpeg", "flv",
)  # fmt: skip
"""FFmpeg's names of the containers that are read; mov is also m4a and mp4, matroska also webm, asf wma."""
KNOWN = "wav, mp3, m4a, ogg, webm, flac, aac or a video with sound"
MOST_CHANNELS, MOST_RATE = 64, 768_000
PIPED = 0x7FFF_0000
"""Sizes from here on stand in files whose writer could not go back to tell them."""
SoundFault = Literal["missing", "not a sound", "huge", "broken"]


class SoundLimits(Config):
    """How large a sound may be before it is refused."""

    max_seconds: float = 4 * 3600.0
    """Length of the whole file."""
    max_bytes: int = 4 * 2**30
    """Size of the file."""


DEFAULT_LIMITS = SoundLimits()


class SoundError(ValueError):
    """A sound that cannot be read; `fault` says in which way."""

    def __init__(self, message: str, fault: SoundFault) -> None:
        super().__init__(message)
        self.fault = fault

    def __reduce__(self) -> tuple[type["SoundError"], tuple[str, SoundFault]]:
        return type(self), (str(self), self.fault)


def sound_error(source: object, what: str, fault: SoundFault = "broken") -> SoundError:
    """The error about a sound, which names it."""
    return SoundError(f"audio {name_of(source)}: {what}", fault)


@contextmanager
def blamed(source: object, what: str, fault: SoundFault = "broken") -> Iterator[None]:
    """Whatever a decoder raises inside is a SoundError about the source."""
    try:
        yield
    except SoundError:
        raise
    except FOREIGN as error:
        told = error.strerror if isinstance(error, av.error.FFmpegError | OSError) else error
        cause = shown(str(told or type(error).__name__), bare=True)
        raise sound_error(source, f"{what} ({cause}); replace the file or drop the record", fault) from error


@dataclass(frozen=True)
class OpenedSound:
    """An opened file and the stream of sound in it that a player plays."""

    container: av.container.InputContainer
    stream: av.audio.stream.AudioStream
    said: float | None
    """Seconds that a header counts, whatever the file still holds; None where none counts."""


@contextmanager
def opened_sound(source: object, limits: SoundLimits) -> Iterator[OpenedSound]:
    """The opened file; SoundError for whatever is wrong with it."""
    with _opened_file(source, limits) as file:
        with blamed(source, f"broken, or no {KNOWN}", "not a sound"):
            container = open_content(file, CONTAINERS)
        with container:
            with blamed(source, "broken header", "not a sound"):
                stream = _played(source, container)
                said = _said_seconds(file, container, stream)
            yield OpenedSound(container, stream, said)


@contextmanager
def _opened_file(source: object, limits: SoundLimits) -> Iterator[IO[bytes]]:
    try:
        known = sound_source(source)
    except ValueError as error:
        raise SoundError(f"audio: {error}", "missing") from error
    if isinstance(known, bytes):
        _check_bytes(source, len(known), limits)
        yield io.BytesIO(known)
        return
    with blamed(source, "unreadable", "missing"):
        facts = os.stat(known)
        if not stat.S_ISREG(facts.st_mode):  # reading a pipe or a device might never end
            raise sound_error(source, "not a file; check the path", "missing")
        _check_bytes(source, facts.st_size, limits)
        file = open(known, "rb")  # noqa: SIM115
    with file:  # outside the blame for opening: what is done with it is blamed apart
        yield file


def _check_bytes(source: object, size: int, limits: SoundLimits) -> None:
    if not size:
        raise sound_error(source, "the file is empty; replace it or drop the record", "missing")
    if size > limits.max_bytes:
        raise sound_error(source, f"{size} bytes exceed max_bytes={limits.max_bytes}; cut the file", "huge")


def _said_seconds(
    file: IO[bytes], container: av.container.InputContainer, stream: av.audio.stream.AudioStream
) -> float | None:
    """By the size that RIFF says, or by the frames that an encoder of MP3 counted in its first one."""
    length, at = float((stream.duration or 0) * (stream.time_base or 0)), file.tell()
    try:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            riff, rate = int.from_bytes(head[4:8], "little"), stream.codec_context.bit_rate
            return length + max(0, riff + 8 - size) * 8 / rate if 0 < riff < PIPED and rate else None
        if container.format.name != "mp3":
            return None
        file.seek(10 + sum((head[6 + i] & 127) << 7 * (3 - i) for i in range(4)) if head[:3] == b"ID3" else 0)
        first = file.read(256)
        tag = max(first.find(b"Xing"), first.find(b"Info"))
        return length if tag >= 0 and first[tag + 7] & 1 else None
    finally:
        file.seek(at)


def _played(source: object, container: av.container.InputContainer) -> av.audio.stream.AudioStream:
    """The first stream of sound that can be decoded."""
    streams = container.streams.audio
    if not streams:
        raise sound_error(source, "no sound in it; replace the file or drop the record", "not a sound")
    stream = next((one for one in streams if one.codec_context is not None), None)
    if stream is None:
        raise sound_error(source, f"no decoder for its codec here; convert it to {KNOWN}", "not a sound")
    rate, channels = stream.rate or 0, stream.codec_context.channels
    if not (0 < rate <= MOST_RATE and 0 < channels <= MOST_CHANNELS):
        raise sound_error(source, f"{rate} samples a second in {channels} channels; convert it", "broken")
    return stream
