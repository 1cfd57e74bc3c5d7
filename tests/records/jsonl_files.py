"""Writes annotation files with pictures and clips for the tests of records and checks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image

from tessera.records.manifest import DatasetSpec


def turns(*values: str) -> list[dict[str, str]]:
    """Human and gpt in turn."""
    return [{"from": ("human", "gpt")[number % 2], "value": value} for number, value in enumerate(values)]


def write_picture(file: Path, size: tuple[int, int] = (40, 30)) -> Path:
    """A picture with some content, so that its JPEG has a length worth truncating."""
    picture = PIL.Image.effect_noise(size, 80).convert("RGB")
    picture.save(file)
    return file


def write_clip(folder: Path, frames: int) -> Path:
    """A folder of frames, one form of video in the released data."""
    folder.mkdir()
    for number in range(1, frames + 1):
        write_picture(folder / f"frame_{number}.jpg")
    return folder


def write_records(file: Path, records: Sequence[dict[str, Any] | bytes], **settings: Any) -> DatasetSpec:
    """One record a line; bytes are written as they are."""
    lines = [r if isinstance(r, bytes) else json.dumps(r, ensure_ascii=False).encode() for r in records]
    file.write_bytes(b"\n".join(lines) + b"\n")
    settings.setdefault("frame_sampling", "uniform")  # clips of a known length
    return DatasetSpec(name=file.stem, annotation=file, root=file.parent, **settings)
