"""Sound files to mono samples of 16 kHz, and their length from headers or packets, without decoding.

A decoded sound is exactly as long as its length was told before: what coders add at the end is cut off, what
they lack is silence. So a prompt that was measured has as many placeholders as the one that is encoded.
Channels are averaged, as librosa does; the rate is changed by FFmpeg's resampler.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from numbers import Real
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tessera.audio.container import (
    DEFAULT_LIMITS,
    OpenedSound,
    SoundLimits,
    blamed,
    opened_sound,
    sound_error,
)
from tessera.audio.sources import SoundSource, sound_source
from tessera.runtime.shown import shown

RATE = 16_000
"""Samples a second of everything that leaves this room."""
TOLD = ("wav", "flac", "mov", "ogg", "aiff", "au", "caf", "w64")
"""Containers whose header is right about the length; of others the packets are looked at."""
SLACK = RATE // 4
"""Samples by which header and content may differ: coders add and leave out some."""
REMEMBERED = 4096
LOUDEST = 1e6
"""Samples of floats may pass full scale, but these would make features that are no numbers."""


def sound_length(
    source: SoundSource,
    start: float | None = None,
    end: float | None = None,
    limits: SoundLimits = DEFAULT_LIMITS,
) -> int:
    """Samples at 16 kHz that `read_sound` will give; decodes nothing.

    Raises SoundError, a ValueError, for a sound that is missing, broken or beyond the limits, and for bounds
    in seconds that leave nothing of it.
    """
    first, last = _bounded(source, start, end, limits)
    return last - first


def read_sound(
    source: SoundSource,
    start: float | None = None,
    end: float | None = None,
    limits: SoundLimits = DEFAULT_LIMITS,
) -> NDArray[np.float32]:
    """Mono float32 [S] in -1 to 1 at 16 kHz, from `start` to `end` seconds; raises as `sound_length` does."""
    first, last = _bounded(source, start, end, limits)
    found = np.zeros(last - first, dtype=np.float32)
    held = 0
    with opened_sound(source, limits) as sound, blamed(source, "cannot be decoded"):
        for piece in _pieces(sound):
            skipped = max(0, first - held)
            wanted = piece[skipped : max(0, last - held)]
            at = max(0, held - first)
            found[at : at + len(wanted)] = wanted
            held += len(piece)
            if held >= last:
                break
    if held < last - SLACK:
        what = f"it says {last / RATE:.2f} s but holds {held / RATE:.2f} s: it is cut off or damaged"
        raise sound_error(source, f"{what}; replace the file or bound it with end")
    if not (peak := float(np.abs(found).max())) <= LOUDEST:  # nor for nan
        what = f"a sample of {peak:g}, where -1 to 1 is full scale: broken floats"
        raise sound_error(source, f"{what}; write the file again")
    return found


def _bounded(
    source: SoundSource, start: float | None, end: float | None, limits: SoundLimits
) -> tuple[int, int]:
    """First sample and the one behind the last."""
    whole = _whole_length(source, limits)
    for name, second in (("start", start), ("end", end)):
        if second is not None and not (isinstance(second, Real) and 0 <= second < float("inf")):
            raise sound_error(source, f"{name}={shown(second)} is no number of seconds from 0")
    first = round((start or 0.0) * RATE)
    last = whole if end is None else min(whole, round(end * RATE))
    if first >= last:
        what = f"nothing is left between start={start} and end={end} of {whole / RATE:.2f} s"
        raise sound_error(source, f"{what}; move the bounds")
    return first, last


def _whole_length(source: SoundSource, limits: SoundLimits) -> int:
    try:
        known = sound_source(source)
        facts = os.stat(known) if isinstance(known, Path) else None
    except (ValueError, OSError):
        return _measured(source, limits)  # which says what is wrong
    # The stamp makes a rewritten file a new question.
    if facts is None or not isinstance(known, Path):
        return _measured(known, limits)
    return _remembered(known, limits, facts.st_mtime_ns, facts.st_size)


@lru_cache(REMEMBERED)
def _remembered(path: Path, limits: SoundLimits, modified_ns: int, size: int) -> int:
    return _measured(path, limits)


def _measured(source: SoundSource, limits: SoundLimits) -> int:
    with opened_sound(source, limits) as sound, blamed(source, "broken packets"):
        seconds = _told_seconds(sound)
        if seconds is None:
            seconds = _packet_seconds(sound, limits.max_seconds)
        if sound.said is not None and sound.said > seconds + SLACK / RATE:
            seconds = sound.said  # reading it will tell what lacks
    if seconds > limits.max_seconds:
        what = f"{seconds:.0f} s exceed max_seconds={limits.max_seconds:.0f}; cut the file"
        raise sound_error(source, what, "huge")
    samples = round(seconds * RATE)
    if samples < 1:
        raise sound_error(source, "it holds no sample; replace the file or drop the record")
    return samples


def _told_seconds(sound: OpenedSound) -> float | None:
    """The header's word, where it can be trusted."""
    stream, name = sound.stream, sound.container.format.name.partition(",")[0]
    if name not in TOLD or not stream.duration or stream.duration < 0:
        return None
    return float(stream.duration * (stream.time_base or 0))


def _packet_seconds(sound: OpenedSound, most: float) -> float:
    """From the first packet to the end of the last; stops behind `most`."""
    base = float(sound.stream.time_base or 0)
    begin: float | None = None
    end = counted = 0.0
    for packet in sound.container.demux(sound.stream):
        if not packet.size:
            continue
        length = (packet.duration or 0) * base
        counted += length
        if packet.pts is not None:
            begin = packet.pts * base if begin is None else begin
            end = max(end, packet.pts * base + length)
        if counted > most:
            break
    offset = sound.stream.start_time
    begin = begin if offset is None or begin is None else max(begin, offset * base)
    return counted if begin is None else end - begin


def _pieces(sound: OpenedSound) -> Iterator[NDArray[np.float32]]:
    """Mono pieces of 16 kHz, in order."""
    resampler: av.AudioResampler | None = None
    for frame in sound.container.decode(sound.stream):
        frame.pts = None  # gaps are not filled: what is there is played
        if resampler is None:
            resampler = av.AudioResampler(format="fltp", layout=frame.layout.name, rate=RATE)
        for each in resampler.resample(frame):
            yield each.to_ndarray().mean(axis=0, dtype=np.float32)
    if resampler is not None:
        for each in resampler.resample(None):
            yield each.to_ndarray().mean(axis=0, dtype=np.float32)
