"""Rows and media as published benchmarks have them: JSON lines, tables with base64, parquet, clips."""

import base64
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import PIL.Image

from tessera.records.readers.parquet import arrow
from tessera.runtime.atomic import atomic_write

FRAME_RATE = 2
"""Frames a second of clips that are files."""


def png_bytes(picture: PIL.Image.Image) -> bytes:
    """A picture as a PNG file."""
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()


def in_base64(picture: PIL.Image.Image) -> str:
    """A picture as tables hold it."""
    return base64.b64encode(png_bytes(picture)).decode()


def save_picture(picture: PIL.Image.Image, root: Path, name: str) -> str:
    """Write a picture below `root`; its name comes back, as rows name it."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    picture.save(root / name)
    return name


def write_lines(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """An object a line."""
    _write(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_array(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One array of objects."""
    _write(file, json.dumps(rows, ensure_ascii=False, indent=1))


def write_kit_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table with a header, everything in quotes, as VLMEvalKit writes it."""
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
    table.writerow(rows[0])
    table.writerows(row.values() for row in rows)
    _write(file, text.getvalue())


def write_parquet(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A shard of a data set of Hugging Face's; pictures among the values become bytes and path.

    ValueError without pyarrow.
    """
    held = [
        {
            k: {"bytes": png_bytes(v), "path": None} if isinstance(v, PIL.Image.Image) else v
            for k, v in row.items()
        }
        for row in rows
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    arrow().parquet.write_table(arrow().Table.from_pylist(held), file)


def save_frames(frames: Sequence[PIL.Image.Image], folder: Path) -> None:
    """A clip as a folder of numbered pictures, from 00001.png."""
    for number, frame in enumerate(frames, 1):
        save_picture(frame, folder, f"{number:05d}.png")


def save_clip(frames: Sequence[PIL.Image.Image], file: Path) -> None:
    """A clip as a file of FRAME_RATE frames a second, nearly lossless."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode(None))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        stream.write(text.encode())
