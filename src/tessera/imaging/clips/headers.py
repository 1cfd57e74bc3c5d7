"""What headers of video files promise, told before FFmpeg is asked: samples of an mp4, bytes of others.

Two tables of an mp4 or mov name a number without a byte for each sample: `stsz` of samples of one size, and
`trun`. FFmpeg keeps some 60 bytes a sample, so that a file of 1 KB takes 5 GB. Delete `promised_samples` when
FFmpeg bounds them itself. An mkv, webm or avi says how long it is; FFmpeg takes a part of one for the whole.
"""

import struct
from collections.abc import Iterator
from typing import IO

MOST_SAMPLES = 2**23
"""Samples of all tracks: at 60 frames a second and with sound, twenty hours. They take half a gigabyte."""
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
_MOST_BOXES = 200_000
_NESTED = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}


def promised_samples(file: IO[bytes]) -> int:
    """Samples that tables promise without bytes for them; 0 for other files; too many for a compressed
    header, which could hide them. The file's place is left at its start.

    Sound of one time unit a sample (PCM) does not count: FFmpeg keeps its chunks, for which there are bytes.
    """
    size = file.seek(0, 2)
    total = 0
    for number, (kind, start, end) in enumerate(_boxes(file, 0, size)):
        if kind == b"cmov" or number > _MOST_BOXES:
            total = MOST_SAMPLES + 1
            break
        if kind == b"stbl":
            total += _in_table(file, start, end)
        elif kind == b"trun" and end - start >= 8:
            total += struct.unpack(">I", _bytes(file, start + 4, 4))[0]
    file.seek(0)
    return total


def _in_table(file: IO[bytes], start: int, end: int) -> int:
    """Samples of the `stsz` of one track, unless they are PCM."""
    count, pcm = 0, False
    for kind, first, _ in _boxes(file, start, end):
        head = _bytes(file, first, 16)
        if kind == b"stsz" and head[4:8] != bytes(4):
            count = struct.unpack(">I", head[8:12])[0]
        elif kind == b"stts":
            pcm = head[4:8] == b"\0\0\0\1" and head[12:16] == b"\0\0\0\1"
    return 0 if pcm else count


def _boxes(file: IO[bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of boxes, and of those inside some of them."""
    open_boxes = [(start, end)]
    while open_boxes:
        at, end = open_boxes.pop()
        while at + 8 <= end:
            size, kind = struct.unpack(">I4s", _bytes(file, at, 8))
            content = at + 8
            if size == 1:
                size, content = struct.unpack(">Q", _bytes(file, at + 8, 8))[0], at + 16
            stop = end if size == 0 else min(at + size, end)
            if stop < content:
                break
            yield kind, content, stop
            if kind in _NESTED:
                open_boxes.append((content, stop))
            at = stop


def _bytes(file: IO[bytes], at: int, count: int) -> bytes:
    """Bytes of a place, zeros behind the end."""
    file.seek(at)
    return file.read(count).ljust(count, b"\0")


def missing_bytes(file: IO[bytes]) -> int:
    """How many bytes of an mkv, webm or avi are not there although its header says so; 0 for other files."""
    size = file.seek(0, 2)
    head = _bytes(file, 0, 12)
    if head[:4] == b"RIFF" and head[8:] == b"AVI ":
        return max(0, 8 + int.from_bytes(head[4:8], "little") - size)
    kind, length, at = _element(file, 0)
    if kind != _EBML or length is None:
        return 0
    kind, length, at = _element(file, at + length)
    if kind != _SEGMENT or length is None:  # live recordings do not know their length
        return 0
    return max(0, at + length - size)


def _element(file: IO[bytes], at: int) -> tuple[bytes, int | None, int]:
    """Name of four bytes, length (None where it is not known) and start of the content of an EBML element."""
    head = _bytes(file, at, 12)
    width = 9 - head[4].bit_length()
    value = int.from_bytes(head[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
    return head[:4], None if value == (1 << 7 * width) - 1 else value, at + 4 + width
