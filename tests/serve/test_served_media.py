"""Pictures and clips by data: address and by name below one folder; everything else is refused."""

from __future__ import annotations

import base64
import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tests.engine import tiny
from tests.serve.served import Served, says, serving, shows

WIDE = tiny.picture(1, 60, 30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with media, links that stay in it and links that lead out; a secret lies beside it."""
    root = tmp_path_factory.mktemp("around")
    inside = root / "media"
    (inside / "deep").mkdir(parents=True)
    WIDE.save(root / "secret.png")
    WIDE.save(inside / "wide.png")
    WIDE.save(inside / "deep" / "wide 2.png")
    (inside / "link.png").symlink_to(inside / "wide.png")
    (inside / "out.png").symlink_to(root / "secret.png")
    (inside / "away").symlink_to(root)
    (inside / "loop.png").symlink_to(inside / "loop.png")
    os.mkfifo(inside / "pipe.png")
    for name in ("frames", "stolen"):
        (inside / name).mkdir()
        for number in range(3):
            tiny.picture(50 + number).save(inside / name / f"frame_{number}.png")
    (inside / "stolen" / "frame_3.png").symlink_to(root / "secret.png")
    tiny.picture(5).save(
        inside / "clip.gif", save_all=True, append_images=[tiny.picture(6), tiny.picture(7)], duration=100
    )
    return inside


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serving(media_root=folder) as server:
        yield server


@pytest.fixture(scope="module")
def closed() -> Iterator[Served]:
    """A server without a media folder."""
    with serving() as server:
        yield server


def clip(address: Any, **options: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": address, **options}}


def ids(served: Served, *parts: Any) -> Any:
    reply = served.post("/tokenize", {"messages": says(*parts)})
    assert reply.status_code == 200, reply.text
    return reply.json()["tokens"]


@pytest.mark.parametrize(
    "name",
    ["wide.png", "./deep/../wide.png", "link.png", "deep/wide 2.png", "file://{}/wide.png", "{}/wide.png"],
)
def test_files_below_the_folder(served: Served, folder: Path, name: str) -> None:
    assert ids(served, shows(name.format(folder)), "?") == ids(served, shows(WIDE), "?")


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png", "out.png", "away/secret.png", "loop.png", "pipe.png", "deep",
        "/etc/passwd", "~/x.png", "file:///etc/passwd", "file://{}/../secret.png", "missing.png", "a\0b.png",
        "x" * 5000, "deep/" * 900, "{}/../secret.png", "FILE:///etc/passwd", "file:../secret.png",
    ],
)  # fmt: skip
def test_nothing_else(served: Served, folder: Path, name: str) -> None:
    status, _, message = served.refusal({"messages": says(shows(name.format(folder)), "?")})
    assert status == 400 and "is no file below the server's media folder" in message
    assert "messages[0].content[0].image_url" in message


@pytest.mark.parametrize(
    "name", ["gopher://x/y", "ftp://x/y.png", "https://example.org/x.png", "data:,x", "", 5]
)
def test_other_addresses(served: Served, name: Any) -> None:
    status, _, message = served.refusal({"messages": says({"type": "image_url", "image_url": name}, "?")})
    assert status == 400 and message.startswith("messages[0].content[0].image_url")


@pytest.mark.parametrize("name", ["wide.png", "/etc/passwd"])
def test_without_a_folder_no_file_is_opened(closed: Served, name: str) -> None:
    for part in (shows(name), clip(name), clip([name])):
        status, _, message = closed.refusal({"messages": says(part, "?")})
        assert status == 400 and "--media-root" in message


def test_clips(served: Served, closed: Served, folder: Path) -> None:
    """As a file, a folder of frames and a data: address, of which no trace is left."""
    encoded = base64.b64encode((folder / "clip.gif").read_bytes()).decode()
    for name in ("clip.gif", f"data:image/gif;base64,{encoded}"):
        talk = says(clip(name, frames=3), "left?")
        said = served.post("/v1/chat/completions", {"messages": talk, "max_tokens": 6}).json()
        known = served.alone.chat(says(clip(str(folder / "clip.gif"), frames=3), "left?"), max_new_tokens=6)
        assert said["choices"][0]["message"]["content"] == known
    talk = says(clip("frames", frames=2), "left?")
    expected = served.alone.encode(says(clip(str(folder / "frames"), frames=2), "left?")).ids.tolist()
    assert ids(served, *talk[0]["content"]) == expected
    status, _, message = served.refusal({"messages": says(clip("stolen"), "?")})
    assert status == 400 and "is no file below" in message
    status, _, message = closed.refusal({"messages": says(clip("data:video/mp4;base64,AAAA"), "?")})
    assert status == 400 and "tmp" not in message


def test_messages_name_no_folder_of_the_server(served: Served, folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    status, _, message = served.refusal({"messages": says(shows("broken.png"), "?")})
    assert status == 400 and "broken.png" in message and str(folder) not in message


def png_that_claims(width: int, height: int) -> str:
    """A few bytes whose header promises a huge picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20))
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(whole).decode()


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (png_that_claims(7000, 7000), "too_many_pixels"),
        (png_that_claims(60_000, 60_000), "invalid_value"),
        (png_that_claims(2**31 - 1, 2**31 - 1), "invalid_value"),
        (png_that_claims(3000, 3000), "invalid_value"),
        ("data:image/png;base64,%%%", "invalid_value"),
        ("data:text/html;base64,PGI+", "invalid_value"),
    ],
    ids=["too large", "bomb", "absurd", "cut", "no base64", "no picture"],
)
def test_bombs_and_broken_pictures(closed: Served, address: str, code: str) -> None:
    status, found, message = closed.refusal({"messages": says(shows(address), "?")})
    assert (status, found) == (400, code), message


def test_a_real_file_of_every_kind(served: Served) -> None:
    for kind in ("PNG", "WEBP", "BMP", "GIF", "TIFF"):
        file = io.BytesIO()
        PIL.Image.new("RGB", (30, 30), "red").save(file, kind)
        address = f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
        assert ids(served, shows(address), "?") == ids(served, shows(tiny.picture(1, 30, 30)), "?")
