"""Reading a page's fenced blocks, and a folder with the files that pages take for granted."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image

import tessera
from tessera.engine.chat_model import ChatModel
from tessera.playground.scene import draw_scene

ROOT = Path(__file__).resolve().parents[2]
HUB_NAME = "OpenGVLab/InternVL3-1B"
"""Stands for any checkpoint on the pages; the model of a test takes its place."""
PICTURES = ("picture.png", "a.png", "b.png", "image1.jpg", "image2.jpg")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [content for name, content in fences if name == language]


def commands(page: Path) -> list[list[str]]:
    """Every shell line of the page as words, comments left out."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def stand_in(folder: Path) -> Callable[..., ChatModel]:
    """`tessera.load` that opens this folder for the pages' name, with all other arguments as given."""
    load = tessera.load

    def load_instead(name: str, *arguments: Any, **options: Any) -> ChatModel:
        assert name == HUB_NAME
        return load(folder, *arguments, **options)

    return load_instead


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """The folder, furnished with drawn pictures and a clip, as the current directory."""
    for number, name in enumerate(PICTURES):
        size = (192, 64) if name == "image1.jpg" else (64, 64)
        picture = draw_scene("shapes", number, size=size).media[0].source
        assert isinstance(picture, PIL.Image.Image)
        picture.save(folder / name)
    write_clip(folder / "clip.mp4")
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def write_clip(file: Path) -> None:
    """Eight frames of a drawn clip as mp4, two a second."""
    frames = draw_scene("clip", 0).media[0].source
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=2)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for picture in frames:  # type: ignore[union-attr]
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
