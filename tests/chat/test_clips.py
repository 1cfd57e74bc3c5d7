"""Clips of every kind through the encoder, frame by frame, against the published index rule."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.frame_labels import FRAME_LABELS, frame_pattern
from tessera.chat.message import Conversation, Video, ask
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.imaging.grid import Tiling
from tessera.imaging.pictures.reading import PictureReading

Get = Callable[[str], Tokenizer]
SIDE = 56


def published_indices(
    bound: tuple[float, float] | None, fps: float, last: int, count: int, first: int = 0
) -> list[int]:
    """The cards' frame rule (docs/facts/imaging.md), written down again."""
    start, end = bound or (-100000, 100000)
    begin, stop = max(first, round(start * fps)), min(round(end * fps), last)
    width = (stop - begin) / count
    return [int(begin + width / 2 + np.round(width * k)) for k in range(count)]


@functools.cache
def decoded(path: Path) -> list[PIL.Image.Image]:
    with av.open(str(path)) as container:
        return [PIL.Image.fromarray(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def encoder_of(tokenizer: Tokenizer, label: str = "training") -> Encoder:
    return Encoder(tokenizer, TEMPLATES["internvl2_5"], Tiling(tile_side=SIDE), 4, label, frames=8)


def check(encoder: Encoder, video: Video, frames: list[PIL.Image.Image], fps: float) -> None:
    """Tiles are those of the frames that the rule names, each squeezed into one."""
    bound = None if video.start is None or video.end is None else (video.start, video.end)
    indices = published_indices(bound, fps, len(frames) - 1, video.frames or encoder.frames)
    encoded = encoder.encode(Conversation((ask("?", videos=[video]),)), generate=True)
    expected = [np.asarray(frames[i].resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC)) for i in indices]
    assert encoded.tiles_per_image == (1,) * len(indices)
    assert np.array_equal(encoded.tiles, np.stack(expected))


@pytest.mark.parametrize(
    ("name", "fps", "frames"), [("drawing_224x224.mp4", 30.0, 150), ("flipping_a_pancake.mkv", None, 310)]
)
def test_files(name: str, fps: float | None, frames: int, real_tokenizer: Get, shared_data: Path) -> None:
    """mp4, and mkv whose header gives no frame count; with and without time bounds."""
    path = shared_data / "videos" / name
    with av.open(str(path)) as container:
        rate = fps or float(container.streams.video[0].average_rate or 0)
    assert len(decoded(path)) == frames
    encoder = encoder_of(real_tokenizer("internvl3"))
    check(encoder, Video(path), decoded(path), rate)
    check(encoder, Video(path, frames=5), decoded(path), rate)
    check(encoder, Video(path, 1.0, 3.5, 4), decoded(path), rate)
    check(encoder, Video(path, 2.0, 9000.0), decoded(path), rate)


def test_gifs_and_folders(real_tokenizer: Get, tmp_path: Path) -> None:
    """An animated picture of 10 frames a second; a folder of frames counts one a second, in number order."""
    frames = [PIL.Image.new("RGB", (48, 32), (9 * i, 255 - 9 * i, 0)) for i in range(24)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    with PIL.Image.open(tmp_path / "a.gif") as animation:
        shown = []
        for index in range(animation.n_frames):
            animation.seek(index)
            shown.append(animation.convert("RGB"))
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, frame in enumerate(frames):
        frame.save(folder / f"frame_{index}.png")
    encoder = encoder_of(real_tokenizer("internvl3"))
    check(encoder, Video(tmp_path / "a.gif"), shown, 10.0)
    check(encoder, Video(tmp_path / "a.gif", 0.5, 1.5, 3), shown, 10.0)
    check(encoder, Video(folder), frames, 1.0)
    check(encoder, Video(folder, 5, 20, 6), frames, 1.0)


def test_bounds_that_leave_nothing_are_refused(real_tokenizer: Get, shared_data: Path) -> None:
    path = shared_data / "videos" / "drawing_224x224.mp4"
    with pytest.raises(ValueError, match=r"start=9\.0.*choose bounds inside the clip"):
        encoder_of(real_tokenizer("internvl3")).measure(
            Conversation((ask("?", videos=[Video(path, 9.0, 10.0)]),))
        )


@pytest.mark.parametrize(
    ("label", "second"),
    [
        ("training", "\nFrame-2: <img>"),
        ("cards", "\nFrame2: <img>"),
        ("spaced", "\nFrame 2: <img>"),
        ("none", "\n<img>"),
        ("[{index}] ", "\n[2] <img>"),
    ],
)
def test_frame_labels_by_name(label: str, second: str, real_tokenizer: Get) -> None:
    frames = (PIL.Image.new("RGB", (SIDE, SIDE)),) * 2
    encoder = encoder_of(real_tokenizer("internvl3"), label)
    text = encoder.render_text(Conversation((ask("?", videos=[Video(frames)]),)))
    assert f"</img>{second}" in text
    assert encoder.describe()["frame_label"] == FRAME_LABELS.get(label, label)


def test_unknown_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"frame_label: 'card' is no name \(training, cards"):
        frame_pattern("card")


def test_frames_of_a_list_are_read_like_pictures(real_tokenizer: Get, tmp_path: Path) -> None:
    """Files of different sizes, one on its side: the choices about pictures hold for them, too."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    halves = PIL.Image.new("RGB", (60, 40), "red")
    halves.paste((0, 0, 255), (0, 20, 60, 40))
    halves.save(tmp_path / "a.png", exif=exif)
    PIL.Image.new("RGBA", (30, 90), (0, 255, 0, 0)).save(tmp_path / "b.png")
    clip = Video([tmp_path / "a.png", str(tmp_path / "b.png")])  # type: ignore[arg-type]
    encoder = encoder_of(real_tokenizer("internvl3"))
    talk = Conversation((ask("?", videos=[clip]),))
    stored = encoder.encode(talk).tiles
    assert stored.shape[0] == 2 and stored[0, 2, 2].tolist() == stored[0, 2, -2].tolist()
    turned = replace(encoder, pictures=PictureReading(orientation="exif", transparency="white"))
    tiles = turned.encode(talk).tiles
    assert tiles[0, 2, 2].tolist() != tiles[0, 2, -2].tolist()
    assert tiles[1].min() == 255
    assert turned.measure(talk).tiles == 2


def test_what_is_no_clip_is_told(real_tokenizer: Get, tmp_path: Path) -> None:
    encoder = encoder_of(real_tokenizer("internvl3"))
    for source, told in (
        (b"bytes", "is no file, folder or tuple of pictures"),
        ("https://a.b/c.mp4", "is on the web"),
        ("s3://a/b.mp4", "download the file"),
        ((), "empty tuple"),
        ((tmp_path / "none.png",), "none.png"),
    ):
        with pytest.raises(ValueError, match=told):
            encoder.encode(Conversation((ask("?", videos=[Video(source)]),)))  # type: ignore[arg-type]
