"""A tar shard as WebDataset writes it: neighbouring members of one name are one record, nothing is unpacked.

`000.jpg` and `000.json` make a record; so do `000.0.jpg`, `000.1.jpg`, `000.json`: the name ends at its first
dot. The record is the `.json` member, or a caption in a `.txt` member. Members are read where they lie, by
offset; a remote shard is read by ranges. Only clips are copied into the cache, as decoders want files.

tarfile reads the headers; the index beside it is ours, because the libraries for shards (webdataset, tarfile)
go through them in order or list them in memory. Measured on a shard of 4,000 members: tarfile takes 187 ms
and 456 bytes a member in every process that opens it, the mapped index 0.1 ms and no memory of its own.
Delete it when a library keeps an index of a tar on disk and reads members of remote shards by ranges.
"""

import io
import posixpath
import re
import tarfile
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from tessera.imaging.clips.container import DEFAULT_VIDEO_LIMITS
from tessera.imaging.decode import DEFAULT_LIMITS
from tessera.records.faults import Reason
from tessera.records.files.cache import cached_folder, map_table
from tessera.records.files.places import Location
from tessera.records.files.remote import copied, open_binary, read_range
from tessera.records.readers.container import Container, fault, parse_json
from tessera.records.record import MOST_BYTES, is_empty
from tessera.runtime.shown import shown

PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
CLIPS = ("mp4", "webm", "mkv", "avi", "mov")
MEDIA_KEYS = ("image", "images", "video", "videos")
MOST_HEADER = 1 << 20
"""Largest extended header of a member, in bytes."""
MOST_DIGITS = 200
_DIGITS = re.compile(rb"\d{%d}" % MOST_DIGITS)
TEXT_KEYS = ("conversations", "conversation", "messages", "texts", "text_list", "response", "caption")


class TarShard(Container):
    """Records of one shard by number."""

    @cached_property
    def _stamp(self) -> str:
        return self.stamp()

    @cached_property
    def _folder(self) -> Path:
        return cached_folder("tar", self._stamp, lambda folder: write_index(self.file, folder))

    @cached_property
    def _members(self) -> NDArray[np.int64]:
        """Offset, size and end of the name of every member: int64 [M, 3], memory-mapped."""
        return map_table(self._folder / "members", 3)

    @cached_property
    def _groups(self) -> NDArray[np.int64]:
        """The first member of every record, and one past the last of all: int64 [N + 1, 1], memory-mapped."""
        return map_table(self._folder / "groups", 1)

    def __len__(self) -> int:
        return max(0, len(self._groups) - 1)

    def record(self, index: int) -> object:
        """The object of the `.json` member, or the caption of the `.txt` member, with the media beside it."""
        found = self._found(index)
        media = sorted((name for name in found if _kind(name) in PICTURES + CLIPS), key=str.lower)
        fields: dict[str, Any] = {}
        if "json" in found:
            value = parse_json(self._read(index, found["json"], MOST_BYTES), self.file, index + 1)
            if not isinstance(value, dict):
                return value
            fields = dict(value)
        if "txt" in found and not any(key in fields for key in TEXT_KEYS):
            caption = self._read(index, found["txt"], MOST_BYTES)
            try:
                fields["caption"] = caption.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                detail = f"byte {error.start} of the caption"
                raise fault(self.file, index + 1, Reason.BAD_UTF8, detail) from error
        if not fields:
            detail = f"{', '.join(found)} without .json or .txt"
            raise fault(self.file, index + 1, Reason.BAD_FIELD, detail)
        if all(is_empty(fields.get(key)) for key in MEDIA_KEYS):
            fields.update(_beside(fields, media))
        return fields

    def members(self, index: int) -> Mapping[str, bytes | Path]:
        """Pictures (bytes) and clips (copies in the cache) of the record, read when they are looked up."""
        return _Beside(self, index, self._found(index))

    def _found(self, index: int) -> dict[str, tuple[int, int]]:
        """Offset and size of a record's members by the part of their name behind the first dot."""
        first, last = int(self._groups[index, 0]), int(self._groups[index + 1, 0])
        rows = self._members[first:last]
        begin = int(self._members[first - 1, 2]) if first else 0
        with (self._folder / "names").open("rb") as stream:
            stream.seek(begin)
            names = stream.read(int(rows[-1, 2]) - begin)
        ends = [begin, *map(int, rows[:, 2])]
        found = {}
        for (offset, size, _), low, high in zip(rows.tolist(), ends, ends[1:], strict=False):
            name = names[low - begin : high - begin].decode("utf-8", "replace")
            if (ending := _split(name)[1]) in found:
                raise fault(self.file, index + 1, Reason.BAD_FIELD, f"two members are called {shown(name)}")
            found[ending] = (offset, size)
        return found

    def _read(self, index: int, member: tuple[int, int], most: int) -> bytes:
        """The bytes of a member. DataError when it is larger than `most` or cut off."""
        offset, size = member
        if size > most:
            raise fault(self.file, index + 1, Reason.LONG_RECORD, f"a member of {size} bytes, limit {most}")
        self.check_unchanged(index)
        data = read_range(self.file, offset, size)
        if len(data) < size:
            detail = f"{len(data)} of {size} bytes of a member"
            raise fault(self.file, index + 1, Reason.BROKEN_ARCHIVE, detail)
        return data

    def medium(self, index: int, member: tuple[int, int], kind: str) -> bytes | Path:
        """The bytes of a picture, or a copy of a clip in the cache. DataError when it is too large."""
        if kind not in CLIPS:
            return self._read(index, member, DEFAULT_LIMITS.max_bytes)
        read = partial(self._read, index, member, DEFAULT_VIDEO_LIMITS.max_bytes)
        return copied(f"{self._stamp} {member}", f".{kind}", lambda out: out.write(read()))


class _Beside(Mapping[str, bytes | Path]):
    """Media of one record by name: `000.jpg` is found as `jpg`, and under any path that ends in `000.jpg`."""

    def __init__(self, shard: TarShard, index: int, found: Mapping[str, tuple[int, int]]) -> None:
        self._shard, self._index = shard, index
        self._found = {name: member for name, member in found.items() if _kind(name) in PICTURES + CLIPS}

    def __getitem__(self, name: str) -> bytes | Path:
        known = name if name in self._found else _split(name)[1]
        return self._shard.medium(self._index, self._found[known], _kind(known))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._found or _split(name)[1] in self._found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def write_index(file: Location, folder: Path) -> None:
    """Members and records of a shard as tables in a folder, in memory that doesn't grow with the shard.

    ValueError when the file is no plain tar.
    """
    key, count, named = None, 0, 0
    with (
        (folder / "members").open("wb") as members,
        (folder / "groups").open("wb") as groups,
        (folder / "names").open("wb") as names,
    ):
        for name, offset, size in _read_members(file):
            stem, _ = _split(name)
            if stem != key:
                np.array([count], np.int64).tofile(groups)
                key = stem
            count += 1
            data = name.encode("utf-8", "replace")
            named += len(data)
            names.write(data)
            np.array([offset, size, named], np.int64).tofile(members)
        if count:
            np.array([count], np.int64).tofile(groups)


def _read_members(file: Location) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of the files in a tar; links, folders and hidden files are no members."""
    try:
        with open_binary(file) as stream, tarfile.open(None, "r:", cast(Any, _Headers(stream))) as archive:
            end = 0
            for member in archive:
                # A size below 0 leads back to where the reader has been, for ever (CVE-2025-8194).
                if not 0 <= member.size < 1 << 62 or member.offset_data < end:
                    raise ValueError(f"member {shown(member.name)} says {member.size} bytes")
                end = member.offset_data + (member.size if member.isreg() else 0)
                hidden = posixpath.basename(member.name).startswith(".")
                if member.isreg() and not member.issparse() and not hidden:
                    yield member.name, member.offset_data, member.size
                vars(archive)["members"] = []  # they would be kept for ever
    except (tarfile.TarError, EOFError, ValueError, OverflowError, LookupError, RecursionError) as error:
        detail = f"not a whole, plain tar ({shown(error)}); unpack .gz or fetch it again"
        raise ValueError(f"{shown(file, bare=True)}: {detail}") from error


class _Headers:
    """The stream that tarfile reads headers from: a bounded piece at a time, and not the same for ever.

    A header's own size may be a lie, and tarfile would read so much at once, or go back; its patterns for
    headers need time quadratic in the length of a run of digits.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.tell = stream, stream.tell
        self._size = stream.seek(0, io.SEEK_END)
        self._left = MOST_HEADER + 2 * self._size
        stream.seek(0)

    def seek(self, position: int) -> int:
        """Go to a byte. ValueError for one that the file doesn't have."""
        if not 0 <= position <= self._size:
            raise ValueError(f"a header at byte {position} of {self._size}")
        return self._stream.seek(position)

    def read(self, size: int) -> bytes:
        """The next bytes. ValueError for more than a header has, or all headers may have."""
        self._left -= size
        if not 0 <= size <= MOST_HEADER or self._left < 0:
            raise ValueError(f"a header of {size} bytes, limit {MOST_HEADER}")
        data = self._stream.read(size)
        if size > tarfile.BLOCKSIZE and _DIGITS.search(data):
            raise ValueError(f"a header with a number of more than {MOST_DIGITS} digits")
        return data


def _split(name: str) -> tuple[str, str]:
    """Folder and name up to the first dot, and the rest."""
    folder, base = posixpath.split(name)
    stem, _, rest = base.partition(".")
    return posixpath.join(folder, stem), rest.lower()


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _beside(fields: Mapping[str, Any], media: list[str]) -> dict[str, Any]:
    """The media of a record that names none, under the keys of its form."""
    pictures = [name for name in media if _kind(name) in PICTURES]
    clips = [name for name in media if _kind(name) in CLIPS]
    ending = "s" if "messages" in fields or "conversation" in fields else ""
    return {key + ending: names for key, names in (("image", pictures), ("video", clips)) if names}
