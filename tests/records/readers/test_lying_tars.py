"""Tar headers that lie: about sizes, places and lengths. One error for the shard, at a bounded cost."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from tessera.records.faults import DataError
from tessera.records.readers.tar import TarShard, write_index

BODY = json.dumps({"conversations": []}).encode().ljust(512)


def header(name: str, size: int | bytes = len(BODY), kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header with a right checksum, whatever its size field says."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size if isinstance(size, int) else 0
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if isinstance(size, bytes):
        block[124:136] = size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def below_zero(size: int) -> bytes:
    return (256**12 - size).to_bytes(12, "big")


FIRST = header("0.json") + BODY
LIES = {
    "back to itself": FIRST + header("1.json", below_zero(512)) + BODY,
    "far back": FIRST + header("1.json", below_zero(10**9)) + BODY,
    "beyond all files": FIRST + header("1.json", b"\x80" + (2**80).to_bytes(11, "big")) + BODY,
    "beyond what a disk takes": FIRST
    + header("1.json", b"\x80" + (2**62 - 2**20).to_bytes(11, "big"))
    + BODY,
    "a long name back": FIRST + header("name", below_zero(512), tarfile.GNUTYPE_LONGNAME) + BODY,
    "a pax header of a gigabyte": FIRST + header("pax", 1 << 30, tarfile.XHDTYPE) + BODY,
    "a pax size back": FIRST
    + header("pax", 512, tarfile.XHDTYPE)
    + b"15 size=-1024\n".ljust(512, b"\0")
    + FIRST,
    "only digits": FIRST + header("pax", 1 << 19, tarfile.XHDTYPE) + b"1" * (1 << 19) + FIRST,
    "headers of headers": (header("pax", 512, tarfile.XHDTYPE) + b"9 a=bcde\n".ljust(512, b"\0")) * 3000,
    "a sparse file without its map": FIRST + header("1.json", 512, tarfile.GNUTYPE_SPARSE),
    "gzip": b"\x1f\x8b" + FIRST,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_header_is_one_error_for_the_shard(tmp_path: Path, lie: str) -> None:
    """A member of size -512 was read for ever, and its index filled the disk (CVE-2025-8194)."""
    (tmp_path / "a.tar").write_bytes(LIES[lie] + bytes(1024))
    try:
        TarShard(tmp_path / "a.tar").__len__()
    except ValueError as error:
        assert "not a whole, plain tar" in str(error) and str(error).isprintable()
        assert len(str(error)) < 400
    else:  # older and newer tarfile differ in what they pass over
        assert lie in ("a pax size back", "a sparse file without its map")


def test_links_devices_and_sparse_files_are_no_members(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, kind in (
            ("a.jpg", tarfile.SYMTYPE),
            ("b.jpg", tarfile.LNKTYPE),
            ("c.jpg", tarfile.CHRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("/../d.json")
        info.size = len(BODY)
        archive.addfile(info, io.BytesIO(BODY))
    (tmp_path / "a.tar").write_bytes(file.getvalue())
    write_index(tmp_path / "a.tar", tmp_path)
    shard = TarShard(tmp_path / "a.tar")
    assert len(shard) == 1 and shard.record(0) == {"conversations": []}


def test_two_members_of_one_name_are_a_fault(tmp_path: Path) -> None:
    """The later one won without a word."""
    (tmp_path / "a.tar").write_bytes(FIRST * 2 + bytes(1024))
    with pytest.raises(DataError, match="two members are called '0.json'"):
        TarShard(tmp_path / "a.tar").record(0)
