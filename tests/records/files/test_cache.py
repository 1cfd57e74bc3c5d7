"""Caches cut, overwritten, left half done or read-only: never a record less, never the wrong blame."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tessera.records.files import cache
from tessera.records.files.cache import BLOCK, SEAL, WHOLE, cached_folder, digest_of, scratch
from tessera.records.manifest import DatasetSpec
from tessera.records.readers.records import RecordReader
from tessera.runtime.disk import cache_root


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("TESSERA_CACHE", str(tmp_path / "cache"))
    return tmp_path


def written(place: Path, count: int = 100) -> DatasetSpec:
    file = place / "a.jsonl"
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    file.write_text("".join(json.dumps({"id": n, "conversations": turns}) + "\n" for n in range(count)))
    return DatasetSpec(name="x", annotation=file, root=place)


def numbers(spec: DatasetSpec) -> list[int]:
    reader = RecordReader(spec)
    return [reader.record(n)["id"] for n in range(reader.size or 0)]  # type: ignore[index]


def damages() -> dict[str, Any]:
    def flip(file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 8
        file.write_bytes(data)

    return {
        "cut": lambda file: os.truncate(file, file.stat().st_size // 48 * 24),
        "empty": lambda file: os.truncate(file, 0),
        "grown": lambda file: file.write_bytes(file.read_bytes() * 2),
        "flipped": flip,
        "gone": lambda file: file.unlink(),
        "a folder": lambda file: (file.unlink(), file.mkdir()),
    }


@pytest.mark.parametrize("name", ["bounds", SEAL])
@pytest.mark.parametrize("damage", damages())
def test_a_damaged_folder_is_built_again(place: Path, name: str, damage: str) -> None:
    """A table that a power loss had cut in half gave half of the records, without a word."""
    spec = written(place)
    assert numbers(spec) == list(range(100))
    (file,) = cache_root().rglob(name)
    damages()[damage](file)
    assert numbers(spec) == list(range(100))
    assert not list((cache_root() / "new").iterdir())


def test_a_source_rewritten_with_its_size_and_time_is_another(place: Path) -> None:
    spec = written(place)
    assert isinstance(spec.annotation, Path)
    facts = spec.annotation.stat()
    numbers(spec)
    text = spec.annotation.read_text().replace('{"id": 0,', '\n{"id":0,')
    spec.annotation.write_text(text)
    os.utime(spec.annotation, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert spec.annotation.stat().st_size == facts.st_size
    assert RecordReader(spec).place(0)[1] == 2


def test_of_a_large_file_some_blocks_are_digested(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"a" * (WHOLE + 1))
    before = digest_of(file)
    for place in (0, WHOLE, BLOCK - 1):
        with file.open("r+b") as stream:
            stream.seek(place)
            stream.write(b"b")
        assert digest_of(file) != before
        before = digest_of(file)


def test_what_a_killed_builder_left_goes_with_the_next_build(place: Path) -> None:
    code = (
        "import os, pathlib\n"
        "from tessera.records.files.cache import cached_folder\n"
        "def build(folder):\n"
        "    (folder / 'half').write_bytes(b'x' * 1000); os._exit(9)\n"
        "cached_folder('json', 'another stamp', build)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert list(cache_root().rglob("half"))
    with scratch() as mine:
        (mine / "own").touch()
        cached_folder("json", "stamp", lambda folder: (folder / "table").touch())
        assert not list(cache_root().rglob("half")) and (mine / "own").exists()
    assert not list((cache_root() / "new").iterdir())


def test_a_builder_that_fails_leaves_nothing(place: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyError("no")

    with pytest.raises(KeyError):
        cached_folder("json", "stamp", build)
    assert not list(cache_root().rglob("half"))


def test_a_full_disk_is_the_fault_of_the_cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was told of the user's file: correct path or access."""

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache, "sync", full)
    with pytest.raises(
        ValueError, match=r"cache folder .*No space left on device; make room, or set TESSERA_CACHE"
    ):
        RecordReader(written(place))


def test_a_cache_that_is_read_only_still_serves(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = written(place)
    numbers(spec)
    monkeypatch.setattr(Path, "mkdir", None)  # nothing may be written
    assert numbers(spec) == list(range(100))


def test_two_builders_at_once_and_a_storage_without_locks(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        cache.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks"))
    )

    def build(folder: Path) -> None:
        (folder / "table").write_text("1")
        if not (other := place / "other").exists():
            other.touch()
            cached_folder("json", "stamp", build)  # another process was faster

    folder = cached_folder("json", "stamp", build)
    assert (folder / "table").read_text() == "1"
    shutil.rmtree(folder)
