"""FFmpeg on a lead: it gets an opened file, never a name, which it might take for a protocol, a playlist or a
pattern, and opens none of its own."""

import errno
import struct
from collections.abc import Sequence
from typing import IO, NoReturn

import av
import av.container
import av.error

from tessera.runtime.shown import shown

FOREIGN = (
    av.error.FFmpegError, OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError,
    RuntimeError, AssertionError, EOFError, MemoryError, struct.error,
)  # fmt: skip
"""What PyAV and Pillow raise on hostile bytes."""


def open_content(file: IO[bytes], containers: Sequence[str]) -> av.container.InputContainer:
    """The container in a file, one of FFmpeg's names in `containers`; raises what stands in `FOREIGN`."""
    return av.open(
        _Nameless(file),
        mode="r",
        container_options={"format_whitelist": ",".join(containers), "protocol_whitelist": "none"},
        metadata_errors="replace",
        io_open=_refuse,
    )


class _Nameless:
    """An opened file without its name: FFmpeg guesses by names, and takes some for protocols."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.tell, self._seek = file.read, file.tell, file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """The new place, or FFmpeg's negative number of an error: PyAV would print an exception."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"it names a further file, {shown(url)}")
