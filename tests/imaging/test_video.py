"""Clips: every kind of source, exact frame numbers, and refusals that name the file."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

from tessera.imaging.clips.container import VideoLimits
from tessera.imaging.frames import frame_indices
from tessera.imaging.video import probe_video, read_frames

COUNT = 20


def shade(index: int) -> int:
    return 20 + 10 * index


def shades(pictures: list[PIL.Image.Image]) -> list[int]:
    """The frame number that each picture's grey stands for."""
    return [round((float(np.asarray(picture).mean()) - 20) / 10) for picture in pictures]


def write_clip(path: Path, codec: str, count: int = COUNT, audio_only: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        if audio_only:
            stream = container.add_stream("aac", rate=44100)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
        else:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for index in range(count):
                values = np.full((48, 64, 3), shade(index), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(values, "rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("b.mkv", "mpeg4"), ("c.webm", "libvpx")])
def test_generated_clips(tmp_path: Path, name: str, codec: str) -> None:
    path = write_clip(tmp_path / name, codec)
    info = probe_video(path)
    assert (info.frames, info.width, info.height) == (COUNT, 64, 48)
    assert info.fps == pytest.approx(10, rel=0.02)
    wanted = [19, 0, 7, 7, 3]
    pictures = read_frames(path, wanted)
    assert shades(pictures) == wanted
    assert all(picture.mode == "RGB" and picture.size == (64, 48) for picture in pictures)


def test_a_container_without_a_count_is_counted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", "libx264")
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 0
    assert probe_video(path).frames == COUNT


@pytest.mark.parametrize(
    ("name", "frames", "fps"),
    [
        ("red-panda.mp4", 895, 30.00034),
        ("drawing_224x224.mp4", 150, 30.0),
        ("sync_test_192x108.mp4", 1891, 30.0),
        ("flipping_a_pancake.mkv", 310, 30.0),
    ],
)
def test_real_clips(shared_data: Path, name: str, frames: int, fps: float) -> None:
    path = shared_data / "videos" / name
    info = probe_video(path)
    assert info.frames == frames
    assert info.fps == pytest.approx(fps, abs=1e-4)
    if frames < 1000:
        pictures = read_frames(path, frame_indices(info.frames, info.fps, 4) + [frames - 1])
        assert {picture.size for picture in pictures} == {(info.width, info.height)}


def test_animated_gif(tmp_path: Path) -> None:
    path = tmp_path / "clip.gif"
    frames = [PIL.Image.new("RGB", (16, 12), (shade(index),) * 3) for index in range(6)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    info = probe_video(path)
    assert (info.frames, info.fps, info.width, info.height) == (6, 20.0, 16, 12)
    assert shades(read_frames(path, [5, 1, 1])) == [5, 1, 1]


def test_folder_of_frames_in_numeric_order(tmp_path: Path) -> None:
    for index in range(12):
        PIL.Image.new("RGB", (8, 6), (shade(index),) * 3).save(tmp_path / f"frame_{index}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    assert probe_video(tmp_path).frames == 12
    assert shades(read_frames(tmp_path, list(range(12)))) == list(range(12))
    PIL.Image.new("RGB", (8, 6)).save(tmp_path / "cover.jpg")
    with pytest.raises(ValueError, match="'cover.jpg' does not end in a number"):
        probe_video(tmp_path)


def test_frames_in_memory() -> None:
    pictures = tuple(PIL.Image.new("L", (4, 4), shade(index)) for index in range(3))
    assert probe_video(pictures).frames == 3
    assert shades(read_frames(pictures, [2, 0])) == [2, 0]
    with pytest.raises(ValueError, match="empty tuple"):
        probe_video(())


def test_no_frames_asked_for(tmp_path: Path) -> None:
    assert read_frames(write_clip(tmp_path / "a.mp4", "libx264"), []) == []


def test_a_rewritten_file_is_probed_again(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", "libx264", 5)
    assert probe_video(path).frames == 5
    write_clip(path, "libx264", 9)
    assert probe_video(path).frames == 9


def test_broken_and_empty_clips_are_refused(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", "libx264").read_bytes()
    cases = {
        "empty.mp4": b"",
        "words.mp4": b"this is not a video at all",
        "header.mkv": whole[:300],
        "cut.gif": b"GIF89a\x01",
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=name):
            probe_video(tmp_path / name)
    with pytest.raises(ValueError, match="no video stream"):
        probe_video(write_clip(tmp_path / "sound.mp4", "", audio_only=True))
    with pytest.raises(ValueError, match="no such file"):
        probe_video(tmp_path / "missing.mp4")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(ValueError, match="holds no pictures"):
        probe_video(tmp_path / "hollow")


def test_a_clip_cut_after_its_header_is_refused(tmp_path: Path) -> None:
    """An mp4 with its index in front promises frames that are no longer there."""
    path = tmp_path / "front.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        noise = np.random.default_rng(0)
        for _ in range(COUNT):
            values = noise.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, "rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ValueError, match="front.mp4"):
        read_frames(path, [COUNT - 1])


def test_numbers_outside_the_clip_and_limits(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", "libx264")
    with pytest.raises(ValueError, match=r"frames \[-1, 20\] are outside its 20 frames"):
        read_frames(path, [20, -1, 3])
    with pytest.raises(ValueError, match="max_frames=10"):
        probe_video(path, VideoLimits(max_frames=10))
    with pytest.raises(ValueError, match="max_pixels=100"):
        probe_video(path, VideoLimits(max_pixels=100))
    with pytest.raises(ValueError, match="max_bytes=100"):
        probe_video(path, VideoLimits(max_bytes=100))
