"""Where a verb can't write it says so in one line, before the work begins; so does a disk that fills up."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tessera.cli.main import main
from tessera.records.export import write_dataset
from tessera.runtime import disk
from tessera.runtime.disk import disk_faults, require_writable

VERBS = {
    "train": ["train", "text", "--out", "{}"],
    "demo": ["demo", "--out", "{}"],
    "convert": ["convert", "shipped", "{}", "--layout", "tessera"],
    "evaluate": ["evaluate", "--out", "{}"],
    "playground": ["playground", "{}"],
    "recipes": ["recipes", "--copy", "text", "{}/r.py"],
    "inspect": ["inspect", "{data}/shapes/000000.png", "--out", "{}"],
    "build": ["data", "build", "boxes", "{data}/x.json", "--out", "{}"],
    "templates": ["data", "build", "--write-templates", "{}"],
    "check": ["data", "check", "{data}/meta.json", "--report", "{}"],
    "fix": ["data", "check", "{data}/meta.json", "--fix", "{}"],
    "filter": ["data", "filter", "{data}/meta.json", "--out", "{}"],
    "pack": ["data", "pack", "{data}/meta.json", "--out", "{}"],
    "preview": ["data", "preview", "{data}/meta.json", "--out", "{}"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    write_dataset(folder := tmp_path_factory.mktemp("data"), {"shapes": 1.0}, 2, 0, (64, 64), 1, 2)
    return folder


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("why", ["below a file", "full", "read-only", "name too long"])
def test_a_target_is_tried_before_the_work(
    verb: str, why: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Reports were refused behind an hour of checks, and a full disk was a page of traceback."""
    target, said = tmp_path / "new" / "out", "No space left"
    if why == "below a file":
        (tmp_path / "new").write_text("")
        said = "is a file"
    elif why == "name too long":
        target, said = tmp_path / ("x" * 300), "too long"
    elif why == "full":
        monkeypatch.setattr(disk.require_writable, "__defaults__", (1 << 60, False))
        said = "are needed"
    else:
        said = "Read-only file system"

        def refuse(**_: object) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr(disk.tempfile, "TemporaryFile", refuse)
    words = [word.replace("{}", str(target)).replace("{data}", str(data)) for word in VERBS[verb]]
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and said in told.err and told.err.startswith("tessera "), told
    assert not os.path.lexists(tmp_path / "new" / "out")


def test_trying_leaves_nothing_behind(tmp_path: Path) -> None:
    (file := tmp_path / "page.html").write_text("old")
    require_writable(file)
    require_writable(tmp_path / "a" / "b", folder=True)
    require_writable(Path(os.devnull))
    assert file.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(ValueError, match="is a folder"):
        require_writable(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        require_writable(file, folder=True)


def test_faults_of_the_program_are_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Bad file"), disk_faults(tmp_path):
        os.close(-1)
    full = pytest.raises(ValueError, match=r"No space left on device; make room")
    with full, disk_faults(tmp_path), open("/dev/full", "wb") as stream:
        stream.write(b"x" * 100_000)
