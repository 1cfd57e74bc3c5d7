"""A picture in every spelling that somebody may give."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from urllib.parse import quote

import numpy as np
import PIL.Image
import pytest

from tessera.imaging.decode import decode_image, read_size
from tessera.imaging.pictures.sources import is_address, picture_source
from tests.imaging.mutated import encoded, every_format

NOISE = PIL.Image.effect_noise((30, 20), 90).convert("RGB")
PNG = encoded(NOISE, "PNG")
TEXT = base64.b64encode(PNG).decode()
URL_SAFE = base64.urlsafe_b64encode(PNG).decode()
LINES = base64.encodebytes(PNG).decode()

SPELLINGS = {
    "alone": TEXT,
    "in lines": LINES,
    "in Windows' lines": "\r\n  " + LINES.replace("\n", "\r\n"),
    "without its end": TEXT.rstrip("="),
    "url-safe": URL_SAFE,
    "url-safe without its end": URL_SAFE.rstrip("="),
    "with percent signs": quote(TEXT, safe=""),
    "address": f"data:image/png;base64,{TEXT}",
    "capital scheme": f"DATA:image/PNG;BASE64,{TEXT}",
    "parameters": f"data:image/png;charset=utf-8;name=a b.png;base64,{TEXT}",
    "no kind": f"data:;base64,{TEXT}",
    "address in lines": f"data:image/png;base64,{LINES}",
    "address, url-safe": f"data:image/png;base64,{URL_SAFE.rstrip('=')}",
    "address with percent signs": f"data:image/png;base64,{quote(TEXT, safe='')}",
    "address that forgot to say base64": f"data:image/png,{TEXT}",
    "address of percent signs": f"data:image/png,{quote(PNG)}",
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_base64_in_every_spelling_is_read(text: str) -> None:
    """It was taken for a path, and the message that no such file is there repeated all of it."""
    assert picture_source(text) == PNG and is_address(text)
    assert read_size(text) == (30, 20) and decode_image(text).tobytes() == NOISE.tobytes()


@pytest.mark.parametrize("kind", sorted(set(every_format()) - {"TGA", "PPM", "words"}))
def test_base64_of_every_format_with_a_mark_is_known(kind: str) -> None:
    data = every_format()[kind]
    assert picture_source(base64.b64encode(data).decode()) == data


def test_open_files_and_bytes_of_every_type(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    written = io.BytesIO()
    NOISE.save(written, "PNG")  # stands at its end
    with file.open("rb") as stream:
        for source in (written, io.BytesIO(PNG), stream, bytearray(PNG), memoryview(PNG), PNG):
            assert picture_source(source) == PNG
        assert not stream.closed
    with file.open() as words, pytest.raises(ValueError, match="binary mode"):
        words.read = lambda *_: "text"  # type: ignore[method-assign]
        picture_source(words)


def test_paths_and_file_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my pictures").mkdir()
    file = tmp_path / "my pictures" / "a.png"
    file.write_bytes(PNG)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names = [str(file), file, "my pictures/a.png", "~/my pictures/a.png", Path("~/my pictures/a.png")]
    addresses = [f"file://{quote(str(file))}", f"FILE://{file}", f"file://localhost{file}"]
    for name in (*names, *addresses):
        assert decode_image(name).size == (30, 20), name
    (tmp_path / "~").write_bytes(PNG)
    assert picture_source("~") == Path("~")
    assert not is_address("my pictures/a.png") and not is_address("what is at /9j/ there?")


@pytest.mark.parametrize(
    "address", ["http://a.org/b.png", "HTTPS://a.org/b.png", Path("https://a.org/b.png")]
)
def test_nothing_is_fetched(address: str | Path) -> None:
    with pytest.raises(ValueError, match="on the web and nothing is fetched .*download it first"):
        picture_source(address)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("s3://bucket/a.png", "s3: addresses are not opened here"),
        ("", "'' is no picture; give a file"),
        (None, "None is no picture; give a file"),
        ({"url": "a"}, "is no picture"),
        (np.zeros((4, 4, 3), np.uint8), "ndarray does not say what its colours are; .*fromarray"),
        ("data:image/png;base64,%%%", "not valid base64"),
        ("data:image/png;base64,AAAAA", "5 letters are cut off"),
        ("data:image/svg+xml,<svg/>", "is not base64"),
        (TEXT[:200] + "!" + TEXT[200:], "looks like a picture in base64 .*'!' at character 201"),
    ],
)
def test_what_is_no_picture_is_named_in_a_line(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as told:
        picture_source(value)
    assert len(str(told.value)) < 400 and "\n" not in str(told.value)


def test_a_name_that_looks_like_base64_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = TEXT[:44].replace("/", "_") + ".png"
    Path(name).write_bytes(PNG)
    assert picture_source(name) == Path(name)
