"""Paths and URLs: what is remote, what a pattern names, and what stays below a root."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.records.files.places import OutsideRoot, inside, is_url, location, suffix
from tessera.records.files.remote import exists
from tessera.records.files.shards import expand
from tessera.records.manifest import DatasetSpec


def test_local_names_are_paths_and_remote_ones_text() -> None:
    assert location("a/b.jsonl") == Path("a/b.jsonl")
    assert location("a.jsonl", Path("/data")) == Path("/data/a.jsonl")
    assert location("/x/a.jsonl", Path("/data")) == Path("/x/a.jsonl")
    assert location("a.jsonl", "s3://bucket/x") == "s3://bucket/x/a.jsonl"
    assert location("", "s3://bucket/x") == "s3://bucket/x"
    assert location("gs://b/a.tar", Path("/data")) == "gs://b/a.tar"
    assert location("file:///x/a%20b.json") == Path("/x/a b.json")
    assert not is_url("C:/x") and is_url("hf://datasets/x")
    assert suffix("https://x/a.TAR?sig=a.b") == ".tar"
    assert suffix(Path("a.tar.gz")) == ".gz"


@pytest.mark.parametrize(
    ("root", "path", "found"),
    [
        (Path("media"), "a.png", Path("media/a.png")),
        (Path("media"), "x/../a.png", Path("media/x/../a.png")),
        (Path("media"), "frames/", Path("media/frames")),
        (Path("."), "a.png", Path("a.png")),
        (Path("/m"), "/m/a.png", Path("/m/a.png")),
        (Path("/"), "/etc/passwd", Path("/etc/passwd")),
        (Path("/m"), "file:///m/a.png", Path("/m/a.png")),
        ("s3://b/m", "a.png", "s3://b/m/a.png"),
        ("s3://b/m/", "s3://b/m/a.png", "s3://b/m/a.png"),
    ],
)
def test_paths_below_their_root(root: Path | str, path: str, found: Path | str) -> None:
    assert inside(root, path) == found


@pytest.mark.parametrize(
    ("root", "path"),
    [
        (Path("media"), "../a.png"),
        (Path("media"), "x/../../a.png"),
        (Path("media"), "/etc/passwd"),
        (Path("/m"), "/mn/a.png"),
        (Path("/m"), "file:///etc/passwd"),
        (Path("/m"), "file:///m/%2e%2e/x"),
        (Path("/m"), "http://x/a.png"),
        ("s3://b/m", "../a.png"),
        ("s3://b/m", "/a.png"),
        ("s3://b/m", "s3://b/mn/a.png"),
        ("s3://b/m", "s3://b/m/../a.png"),
        ("https://x/m", "%2e%2e/a.png"),
        ("https://x/m", "..\\a.png"),
        ("https://x/m", "https://evil/a.png"),
    ],
)
def test_paths_that_leave_their_root(root: Path | str, path: str) -> None:
    with pytest.raises(OutsideRoot):
        inside(root, path)


@given(st.lists(st.sampled_from(["..", ".", "a", "b", "", "/"]), max_size=6).map("/".join))
def test_no_path_leaves_its_root(path: str) -> None:
    try:
        found = inside(Path("/r/m"), path)
    except OutsideRoot:
        return
    assert Path("/r/m") in (resolved := Path(found).resolve()).parents or resolved == Path("/r/m")


def test_patterns(tmp_path: Path) -> None:
    assert expand("s3://b/x-{08..11}.tar") == tuple(f"s3://b/x-{n:02}.tar" for n in range(8, 12))
    assert expand(Path("{a,b}-{1..2}.tar")) == tuple(Path(f"{a}-{n}.tar") for a in "ab" for n in (1, 2))
    odd = tmp_path / "x{1..2}.json"
    odd.touch()
    assert expand(odd) == (odd,)
    assert expand(tmp_path / "none.json") == (tmp_path / "none.json",)
    with pytest.raises(ValueError, match="more than 100000 files"):
        expand(Path("x-{0..999999999999}.tar"))
    with pytest.raises(ValueError, match="no file has such a name"):
        expand(tmp_path / "*.tar")


@pytest.mark.parametrize(
    "url",
    [
        "ssh://host/a.jsonl",
        "github://o:r@/a.jsonl",
        "shell://x/a.jsonl",
        "jinja://a.jsonl",
        "reference://a.jsonl",
        "dir://a.jsonl",
        "zip://a.jsonl::https://host/b.zip",
        "s3://b/a::file:///etc/passwd.jsonl",
        "S3://b/a.jsonl",
    ],
)
def test_only_known_storages_are_opened(tmp_path: Path, url: str) -> None:
    """fsspec knows protocols that log in elsewhere or unpack archives, and chains of them."""
    for made in (lambda: location(url), lambda: exists(url), lambda: expand(url.replace("a", "*"))):
        with pytest.raises(ValueError, match="is in no storage that is read; name a path or one of s3://"):
            made()
    with pytest.raises(ValueError, match="x.annotation|in no storage"):
        DatasetSpec(name="x", annotation=url, root=tmp_path)


def test_a_media_path_cannot_lead_to_another_storage() -> None:
    """`memory://b/x::file:///etc/passwd` was read from the disk."""
    for path in ("x::file:///etc/passwd", "memory://b/x::file:///etc/passwd", "x%3A%3Afile:///etc/passwd"):
        with pytest.raises(OutsideRoot):
            inside("memory://b", path)


@pytest.mark.parametrize("name", ["{a,b}" * 1000, "{0..9}" * 21, "{0..99999999999}", "{" + "," * 200_000])
def test_patterns_that_name_too_much_are_told_in_a_line(name: str) -> None:
    try:
        found = expand(f"memory://b/{name}.tar")
    except ValueError as error:
        assert "write fewer" in str(error) and len(str(error)) < 300
    else:
        assert len(found) == 1
