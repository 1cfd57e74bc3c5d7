"""A corpus with one planted fault of every kind that a JSONL file and its media can have."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

from tessera.records.faults import Reason
from tests.records.jsonl_files import turns, write_clip, write_picture


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises more pixels than any memory holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def write_media(folder: Path) -> None:
    """Good files, and broken ones."""
    write_picture(folder / "good.jpg")
    write_picture(folder / "other.png", (64, 16))
    (folder / "copy.jpg").write_bytes((folder / "good.jpg").read_bytes())
    data = (folder / "good.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(data[: len(data) // 2])
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video")
    (folder / "bomb.png").write_bytes(bomb(60_000, 60_000))
    write_clip(folder / "clip", 5)
    write_clip(folder / "empty_clip", 0)
    (folder.parent / "secret.jpg").write_bytes(data)


def good(number: int, question: str = "what is it?", answer: str = "a cat", **fields: Any) -> dict[str, Any]:
    """A record without fault."""
    return {"id": number, "conversations": turns(question, answer), **fields}


SOUND: list[dict[str, Any]] = [
    good(1, image="good.jpg"),
    good(2, "how many words?", "there are four words here"),
    good(3, "compare <image> and <image>", "one is wide", image=["good.jpg", "other.png"]),
    good(4, "what happens?", "nothing happens", video="clip/"),
    good(5, "where is the dog?", "<ref>dog</ref><box>[[10, 20, 900, 800]]</box>", image="other.png"),
]

PLANTED: list[tuple[Reason, dict[str, Any] | bytes]] = [
    (Reason.MISSING_FILE, good(20, image="gone.jpg")),
    (Reason.BROKEN_PICTURE, good(21, image="truncated.jpg")),
    (Reason.NOT_A_PICTURE, good(22, image="text.jpg")),
    (Reason.EMPTY_FILE, good(23, image="empty.jpg")),
    (Reason.HUGE_PICTURE, good(24, image="bomb.png")),
    (Reason.NOT_A_VIDEO, good(25, video="text.mp4")),
    (Reason.BROKEN_VIDEO, good(26, video="empty_clip/")),
    (Reason.OUTSIDE_ROOT, good(27, image="../secret.jpg")),
    (Reason.OUTSIDE_ROOT, good(28, image="/etc/passwd")),
    (Reason.WRONG_SIZE, good(29, image="good.jpg", width=7, height=7)),
    (Reason.MARK_COUNT, good(30, "<image>", image=["good.jpg", "other.png"])),
    (Reason.UNKNOWN_ROLE, {"id": 31, "conversations": [{"from": "robot", "value": "hi"}]}),
    (Reason.ROLE_ORDER, {"id": 32, "conversations": turns("a", "b", "c")}),
    (Reason.EMPTY_ANSWER, good(33, answer=" ")),
    (Reason.EMPTY_QUESTION, good(34, question="")),
    (Reason.BAD_FIELD, {"id": 35, "conversations": 7}),
    (Reason.BAD_BOX, good(36, answer="<box>[[NaN, 0, 5, 5]]</box>", image="good.jpg")),
    (Reason.BAD_BOX, good(37, answer="<box>[[0, 0, 1200, 10]]</box>", image="good.jpg")),
    (Reason.NUL, good(38, answer="a\0b")),
    (Reason.LONE_SURROGATE, good(39, answer="a\ud800b")),
    (Reason.BROKEN_JSON, b'{"id": 40, "conversations": '),
    (Reason.BAD_UTF8, b'{"id": 41, "conversations": [{"from": "human", "value": "caf\xe9"}]}'),
    (Reason.DEEP_JSON, b"[" * 100_000),
    (Reason.TOO_LONG, good(43, answer="word " * 3000)),
]


def write_corpus(folder: Path) -> Path:
    """Media, `sound.jsonl`, `planted.jsonl` and a manifest of both in a new folder; the manifest's path."""
    root = folder / "corpus"
    root.mkdir()
    write_media(root)
    write_lines(root / "sound.jsonl", SOUND)
    write_lines(root / "planted.jsonl", [record for _, record in PLANTED])
    entries = {name: {"annotation": f"{name}.jsonl"} for name in ("sound", "planted")}
    (root / "meta.json").write_text(json.dumps(entries))
    (root / "sound.json").write_text(json.dumps({"sound": entries["sound"]}))
    return root / "meta.json"


def write_lines(file: Path, records: list[dict[str, Any] | bytes] | list[dict[str, Any]]) -> Path:
    """One record a line; bytes as they are."""
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    file.write_bytes(b"\n".join(lines) + b"\n")
    return file
