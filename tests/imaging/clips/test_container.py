"""Video files are read by their content alone; every kind of damage is a ClipError about the file."""

from __future__ import annotations

import http.server
import io
import itertools
import os
import random
import re
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

from tessera.imaging.clips.container import ClipError, VideoLimits
from tessera.imaging.video import count_readable, probe_video, read_frames
from tests.imaging.clips.drawn_clips import black_corner, frame, number_of, write_clip


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """A port of this machine, and the requests that came there."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, seen
    server.shutdown()
    server.server_close()


def test_a_clip_opens_no_other_file_and_no_address(
    tmp_path: Path, listener: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg took playlists for clips and paths for protocols: it read other files and called the network."""
    port, seen = listener
    secret = write_clip(tmp_path / "secret.ts", format="mpegts")
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.chdir(root)
    address = f"http://127.0.0.1:{port}/x"
    texts = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "b.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n",
        "c.ffconcat": f"ffconcat version 1.0\nfile {secret.name}\n",
        "d.mpd": f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{address}</BaseURL></MPD>',
        "e.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "f%03d.png": "no picture",
        "lavfi:testsrc": "no clip",
        f"subfile,,start,0,end,99999,,:{secret.name}": "no clip",
    }
    for name, text in texts.items():
        Path(name).write_text(text)
    net = Path(f"http:/127.0.0.1:{port}")
    net.mkdir(parents=True)
    (net / "x.mp4").write_bytes(b"no clip")
    for name in (*texts, f"http:/127.0.0.1:{port}/x.mp4", address, "testsrc", "/dev/video0x"):
        for source in (name, Path(name)):
            with pytest.raises(ClipError):
                read_frames(source, [0])
    assert seen == []


def test_a_movie_that_points_to_another_file_is_not_followed(tmp_path: Path) -> None:
    """The data reference of a mov may be the path of another file."""
    (tmp_path / "other.mov").write_bytes(write_clip(tmp_path / "a.mov", noisy=True).read_bytes())
    data = bytearray((tmp_path / "a.mov").read_bytes())
    at = data.index(b"dref") + 12  # the entry: size, kind, flags
    data[at + 4 : at + 12] = b"alis" + bytes(4)
    begin = data.index(b"mdat")
    data[begin + 4 : begin + 2000] = bytes(1996)
    (tmp_path / "pointing.mov").write_bytes(data)
    with pytest.raises(ClipError):
        read_frames(tmp_path / "pointing.mov", range(10))


def test_names_do_not_decide(tmp_path: Path) -> None:
    """A clip whose name begins like a protocol is a file like any other."""
    whole = write_clip(tmp_path / "a.mp4")
    for name in ("concat:x.mp4", "pipe:0", "video.gif", "data:text", "no suffix", "x%03d.jpg"):
        (tmp_path / name).write_bytes(whole.read_bytes())
        assert number_of(read_frames(tmp_path / name, [3])[0]) == 3


TURNS = {
    (0, False, False): ((64, 48), "left top"),
    (90, False, False): ((48, 64), "left bottom"),
    (180, False, False): ((64, 48), "right bottom"),
    (270, False, False): ((48, 64), "right top"),
    (0, True, False): ((64, 48), "right top"),
    (0, False, True): ((64, 48), "left bottom"),
}


@pytest.mark.parametrize("turn", TURNS)
def test_frames_are_upright(tmp_path: Path, turn: tuple[float, bool, bool]) -> None:
    """Phones store clips on their side and say so in the header, which was not read."""
    path = write_clip(tmp_path / "a.mp4", turn=turn)
    size, corner = TURNS[turn]
    info, picture = probe_video(path), read_frames(path, [2])[0]
    assert (info.width, info.height) == picture.size == size
    assert black_corner(picture) == corner


@pytest.mark.parametrize("flip", [(True, False), (False, True)])
@pytest.mark.parametrize("angle", [90, 270])
def test_a_turned_mirror_image_is_both(tmp_path: Path, angle: int, flip: tuple[bool, bool]) -> None:
    """The matrix is applied point by point, as it is defined: (x, y) is shown at (ax + cy, bx + dy)."""
    path = write_clip(tmp_path / "a.mp4", turn=(angle, *flip))
    with av.open(str(path)) as container:
        matrix = next(container.decode(video=0)).side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]
        a, b, _, c, d, *_ = struct.unpack("9i", bytes(matrix))
    # The black quarter lies at (-1, -1) seen from the middle.
    x, y = -a - c, -b - d
    corner = f"{'left' if x < 0 else 'right'} {'top' if y < 0 else 'bottom'}"
    picture = read_frames(path, [0])[0]
    assert picture.size == (48, 64) and black_corner(picture) == corner


def test_other_angles_stay_as_stored(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", turn=(45, False, False))
    assert read_frames(path, [0])[0].size == (64, 48)


def test_without_rotation_the_pixels_are_the_decoders(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", noisy=True)
    with av.open(str(path)) as container:
        expected = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    for picture, values in zip(read_frames(path, range(10)), expected, strict=True):
        assert np.array_equal(np.asarray(picture), values)


def add_stream(container: av.container.OutputContainer, codec: str, size: tuple[int, int]) -> av.VideoStream:
    stream = container.add_stream(codec, rate=10)
    stream.width, stream.height = size
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return stream


def test_a_cover_is_not_the_clip(tmp_path: Path) -> None:
    """Music players put a cover into the file, as a stream of its own and often as the first."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        cover, film = add_stream(container, "mjpeg", (32, 32)), add_stream(container, "libx264", (64, 48))
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(frame(20, (32, 32)).reformat(format="yuvj420p")))
        for number in range(10):
            container.mux(film.encode(frame(number)))
        for stream in (cover, film):
            container.mux(stream.encode(None))
    info = probe_video(path)
    assert (info.frames, info.width) == (10, 64)
    assert number_of(read_frames(path, [7])[0]) == 7
    alone = tmp_path / "alone.mp4"
    with av.open(str(alone), "w") as container:
        cover = add_stream(container, "mjpeg", (32, 32))
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(frame(20, (32, 32)).reformat(format="yuvj420p")))
        container.mux(cover.encode(None))
    with pytest.raises(ClipError, match="no video stream"):
        probe_video(alone)


@pytest.mark.parametrize("second", [False, True])
def test_the_default_stream_is_the_clip(tmp_path: Path, second: bool) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams = [add_stream(container, "libx264", size) for size in ((64, 48), (32, 48))]
        streams[0].disposition = av.stream.Disposition(0 if second else 1)
        streams[1].disposition = av.stream.Disposition(1 if second else 0)
        for number, stream in itertools.product(range(10), streams):
            container.mux(stream.encode(frame(number, (stream.width, stream.height))))
        for stream in streams:
            container.mux(stream.encode(None))
    assert probe_video(path).width == (32 if second else 64)


def test_an_unknown_codec_is_named(tmp_path: Path) -> None:
    """A stream without a decoder has no size: AttributeError ended a whole check."""
    path = tmp_path / "a.mp4"
    path.write_bytes(write_clip(path).read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(ClipError, match="codec") as caught:
        probe_video(path)
    assert caught.value.fault == "not a video"


def with_count(data: bytes, count: int) -> bytes:
    """An mp4 whose header promises `count` frames of one size, without a byte for any."""
    changed = bytearray(data)
    for kind, offset, values in (
        (b"stsz", 8, (1, count)), (b"stts", 12, (count, 1024)), (b"stsc", 16, (count, 1)),
    ):  # fmt: skip
        struct.pack_into(f">{len(values)}I", changed, changed.index(kind) + offset, *values)
    return bytes(changed)


@pytest.mark.parametrize("count", [600_000, 80_000_000, 1_000_000_000])
def test_a_billion_frames_by_header_cost_nothing(tmp_path: Path, count: int) -> None:
    """FFmpeg asks for memory for every promised frame: 5 GB for a file of 2 KB."""
    path = tmp_path / "a.mp4"
    path.write_bytes(with_count(write_clip(path).read_bytes(), count))
    began = time.process_time()
    with pytest.raises(ClipError, match=f"{count} (samples|frames)") as caught:
        probe_video(path)
    assert caught.value.fault == "huge" and time.process_time() - began < 2


def test_fragments_may_not_promise_more_either(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", movflags="frag_keyframe+empty_moov")
    data = bytearray(path.read_bytes())
    struct.pack_into(">II", data, data.index(b"trun") + 4, 0, 60_000_000)
    path.write_bytes(data)
    with pytest.raises(ClipError, match="60000000 samples"):
        probe_video(path)


def test_frames_times_pixels_are_bounded(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    with pytest.raises(ClipError, match="10 frames of 64x48 pixels exceed max_volume=30000"):
        probe_video(path, VideoLimits(max_volume=30_000))
    # Without a count in the header it is counted no further than that.
    with pytest.raises(ClipError, match="max_volume=30000"):
        probe_video(write_clip(tmp_path / "a.mkv"), VideoLimits(max_volume=30_000))


def test_a_size_that_lies_is_refused_before_decoding(tmp_path: Path) -> None:
    """The size in the header of the stream may be smaller than that of its frames."""
    path = write_clip(tmp_path / "a.mp4", count=3)
    with pytest.raises(ClipError):
        read_frames(path, [0], VideoLimits(max_pixels=64 * 48 - 1))


def test_frames_may_not_grow_beyond_the_limit(tmp_path: Path) -> None:
    """The size in the header is that of the first frame; later ones may be larger."""
    for name, size in (("a", (64, 48)), ("b", (640, 480))):
        with av.open(str(tmp_path / name), "w", format="h264") as container:
            stream = add_stream(container, "libx264", size)
            for number in range(5):
                container.mux(stream.encode(frame(number, size)))
            container.mux(stream.encode(None))
    path = tmp_path / "a.h264"
    path.write_bytes((tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes())
    assert [picture.width for picture in read_frames(path, range(10))] == [64] * 5 + [640] * 5
    with pytest.raises(ClipError):
        read_frames(path, [9], VideoLimits(max_pixels=64 * 48))


def test_a_frame_without_a_byte_is_none(tmp_path: Path) -> None:
    """Screen recorders write AVI chunks of no bytes for a frame that is that before: no fault of the clip."""
    path = write_clip(tmp_path / "a.avi", "mpeg4", noisy=True)
    data = bytearray(path.read_bytes())
    at = [match.start() for match in re.finditer(b"00dc", data)][3]
    (size,) = struct.unpack_from("<I", data, at + 4)
    data[at + 4 : at + 8] = bytes(4)
    data[at + 8 : at + 8] = b"JUNK" + struct.pack("<I", size - 8)
    del data[at + 16 : at + 24]
    entry = data.rindex(b"idx1") + 8 + 3 * 16
    data[entry + 12 : entry + 16] = bytes(4)
    path.write_bytes(data)
    assert probe_video(path).frames == count_readable(path, 9) == 9


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(ClipError, match="neither a file nor a folder"):
        probe_video(tmp_path / "a.mp4")


def test_a_still_picture_is_told_from_a_clip(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(ClipError, match="a still picture; name it as a picture, or a clip as a list"):
        probe_video(tmp_path / "a.jpg")


def test_an_attachment_may_be_damaged(tmp_path: Path) -> None:
    """A matroska file carries covers and fonts beside the clip."""
    path, cover = tmp_path / "a.mkv", io.BytesIO()
    PIL.Image.new("RGB", (32, 32)).save(cover, "JPEG")
    with av.open(str(path), "w") as container:
        film = add_stream(container, "libx264", (64, 48))
        container.add_attachment("cover.jpg", "image/jpeg", cover.getvalue())
        for number in range(10):
            container.mux(film.encode(frame(number)))
        container.mux(film.encode(None))
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xd8\xff")
    data[at : at + 300] = bytes(300)
    path.write_bytes(data)
    assert probe_video(path).frames == count_readable(path, 9) == 10


def test_logging_of_the_host_is_left_alone(tmp_path: Path) -> None:
    """A level or callback of our own holds for the whole process, and may lock it."""
    before = av.logging.get_level()
    probe_video(write_clip(tmp_path / "a.mp4"))
    assert av.logging.get_level() is before is None


def test_damage_in_the_middle_is_counted(tmp_path: Path) -> None:
    """Decoders fill damage with what they have, and only say so."""
    path = write_clip(tmp_path / "a.mp4", "mpeg4", 40, noisy=True, movflags="faststart")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 800] = bytes(800)
    path.write_bytes(data)
    assert probe_video(path).frames == 40
    assert 30 < count_readable(path, 39) < 40
    assert count_readable(path, 9) == 10
    with pytest.raises(ClipError, match="damaged|broken behind"):
        read_frames(path, range(40))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_what_was_counted_can_be_read(tmp_path: Path, codec: str) -> None:
    """Decoders with several threads meet the damage before they hand out the sound frames in front of it."""
    path = write_clip(tmp_path / "a.mp4", codec, 60, noisy=True, movflags="faststart")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)
    sound = next(n for n in range(60) if count_readable(path, n) <= n)
    assert 10 < sound < 59 and len(read_frames(path, range(sound))) == sound


def test_an_edit_list_leaves_frames_out(tmp_path: Path) -> None:
    """Phones trim a clip by its edit list: frames that are not shown were counted, then missed."""
    path = write_clip(tmp_path / "a.mp4", "mpeg4", 20)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    duration, start = struct.unpack_from(">Ii", data, at)
    struct.pack_into(">Ii", data, at, duration // 2, start)
    path.write_bytes(data)
    info = probe_video(path)
    with av.open(str(path)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert info.frames == shown < 20
    assert len(read_frames(path, range(shown))) == shown


EXTREMES = (b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\0\0\xff\xff")


def clips_to_spoil(folder: Path) -> list[bytes]:
    kinds = (("a.mp4", "libx264", None), ("b.mkv", "libx264", None), ("c.webm", "libvpx", None))
    more = (("d.avi", "mpeg4", None), ("e.ts", "mpeg2video", "mpegts"), ("f.flv", "flv", None))
    return [
        write_clip(folder / name, codec, 6, noisy=True, format=format).read_bytes()
        for name, codec, format in (*kinds, *more)
    ]


def spoiled(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut out, doubled, or numbers made extreme."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 10, 40))):
        at = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                changed[at : at + 4] = rng.choice(EXTREMES)
            case 2:
                del changed[at : at + rng.randrange(1, 200)]
            case 3:
                changed[at:at] = changed[at : at + rng.randrange(1, 200)]
        changed = changed or bytearray(b"\0")
    return bytes(changed[: rng.randrange(1, len(changed) + 1)] if rng.random() < 0.2 else changed)


def test_spoiled_clips_raise_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A place before the begin of the file, which damage may name, made PyAV write to the terminal."""
    rng, path = random.Random(9), tmp_path / "spoiled"
    originals = clips_to_spoil(tmp_path)
    for number in range(120):
        path.write_bytes(spoiled(originals[number % len(originals)], rng))
        try:
            info = probe_video(path, timed=True)
            count_readable(path, info.frames - 1)
            read_frames(path, sorted({0, info.frames - 1}))
        except ClipError as error:
            assert len(str(error)) < 600
    assert capfd.readouterr().err == ""
