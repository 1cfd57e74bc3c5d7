"""Sound files to 16 kHz: every container, lengths without decoding, limits, and what is said of bad ones."""

import base64
from pathlib import Path

import numpy as np
import pytest

from tessera.audio.container import SoundError, SoundLimits
from tessera.audio.decode import read_sound, sound_length
from tessera.audio.wav import to_wav
from tests.audio.coded import coded, tone

KINDS = [
    ("wav", "pcm_s16le", 44_100),
    ("flac", "flac", 44_100),
    ("mp3", "libmp3lame", 44_100),
    ("ogg", "libopus", 48_000),
    ("webm", "libopus", 48_000),
    ("mp4", "aac", 44_100),
    ("adts", "aac", 22_050),
]


@pytest.mark.parametrize(("form", "codec", "rate"), KINDS)
def test_every_container_gives_the_tone_and_its_measured_length(form: str, codec: str, rate: int) -> None:
    data = coded([tone(2.5, rate=rate)] * 2, rate, form, codec)
    length, samples = sound_length(data), read_sound(data)
    assert len(samples) == length
    assert abs(length - 40_000) < 1000  # coders add up to 60 ms
    heard = np.abs(np.fft.rfft(samples[8000:24_000]))
    assert heard.argmax() == 440
    assert 0.25 < samples[8000:24_000].max() < 0.33


def test_channels_are_averaged() -> None:
    left, right = tone(0.5), np.zeros(8000, np.float32)
    both = read_sound(coded([left, right], 16_000, "wav", "pcm_s16le"))
    np.testing.assert_allclose(both, left / 2, atol=1e-4)


def test_sixteen_kilohertz_wav_comes_as_it_is() -> None:
    samples = tone(0.25)
    np.testing.assert_allclose(read_sound(to_wav(samples)), samples, atol=1e-4)


def test_the_sound_of_a_video(tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    file.write_bytes(coded([tone(1.0, rate=44_100)], 44_100, "mp4", "aac", with_picture=True))
    assert abs(sound_length(file) - 16_000) < 1000
    assert np.abs(np.fft.rfft(read_sound(file)[:16_000])).argmax() == 440


def test_bounds_cut_the_sound() -> None:
    data = to_wav(np.concatenate([tone(1.0, 440), tone(1.0, 880)]))
    assert sound_length(data, 0.5, 1.75) == 20_000
    whole = read_sound(data)
    np.testing.assert_array_equal(read_sound(data, 0.5, 1.75), whole[8000:28_000])
    np.testing.assert_array_equal(read_sound(data, 1.5, 9.0), whole[24_000:])


def test_what_may_be_given(tmp_path: Path) -> None:
    data = to_wav(tone(0.1))
    file = tmp_path / "a.wav"
    file.write_bytes(data)
    address = "data:audio/wav;base64," + base64.b64encode(data).decode()
    with file.open("rb") as opened:
        lengths = [sound_length(one) for one in (data, file, str(file), file.as_uri(), address)]
        assert lengths == [1600] * 5 == [sound_length(opened)] * 5  # type: ignore[arg-type]


def test_a_rewritten_file_is_measured_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(to_wav(tone(0.1)))
    assert sound_length(file) == 1600
    file.write_bytes(to_wav(tone(0.2)))
    assert sound_length(file) == 3200


def test_bad_sounds_are_named_with_a_remedy(tmp_path: Path) -> None:
    for form, codec in (("flac", "flac"), ("au", "pcm_s16be"), ("wav", "pcm_s16le"), ("mp3", "libmp3lame")):
        whole = coded([tone(3.0)], 16_000, form, codec)
        (tmp_path / f"cut.{form}").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "words.wav").write_text("no sound at all, only words")
    (tmp_path / "empty.wav").touch()
    mute = coded([], 16_000, "mp4", "aac", with_picture=True)
    cases = [
        (tmp_path / "none.wav", "none.wav.*unreadable", "missing"),
        (tmp_path / "empty.wav", "empty.wav.*empty", "missing"),
        (tmp_path / "words.wav", "words.wav.*broken, or no wav, mp3", "not a sound"),
        (tmp_path, "not a file", "missing"),
        ("https://example.com/a.wav", "on the web.*download it", "missing"),
        ("data:audio/wav;base64,????", "not valid base64", "missing"),
        (mute, "no sound in it", "not a sound"),
        (np.zeros(3), "does not say what its rate is.*to_wav", "missing"),
    ]
    for source, words, fault in cases:
        with pytest.raises(SoundError, match=words) as caught:
            sound_length(source)  # type: ignore[arg-type]
        assert caught.value.fault == fault and "\n" not in str(caught.value)
    cut = "says 3.00 s but holds 1.00 s: it is cut"
    (tmp_path / "tagged.mp3").write_bytes(
        b"ID3\4\0\0\0\0\4\0" + bytes(512) + (tmp_path / "cut.mp3").read_bytes()
    )
    names = {"cut.au": cut, "cut.wav": cut, "cut.flac": "be decoded", "cut.mp3": "says 3.00 s but holds 0.9"}
    for name, words in (names | {"tagged.mp3": names["cut.mp3"]}).items():
        with pytest.raises(SoundError, match=words):
            read_sound(tmp_path / name)
    np.testing.assert_allclose(read_sound(tmp_path / "cut.wav", end=0.5), tone(0.5), atol=1e-4)


def test_sizes_that_a_pipe_left_unset_say_nothing() -> None:
    data = coded([tone(1.0)], 16_000, "wav", "pcm_s16le")
    for size in (0, 0x7FFF_FFFF, 0xFFFF_FFFF):
        assert sound_length(data[:4] + size.to_bytes(4, "little") + data[8:]) == 16_000


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 1e30])
def test_floats_that_no_ear_can_hear_are_refused(odd: float) -> None:
    samples = tone(0.5)
    samples[100] = odd
    with pytest.raises(SoundError, match="a sample of .*broken floats; write the file again"):
        read_sound(coded([samples], 16_000, "wav", "pcm_f32le"))


def test_limits_and_bounds_are_told() -> None:
    data = to_wav(tone(1.0))
    with pytest.raises(SoundError, match="1 s exceed max_seconds=0"):
        sound_length(data, limits=SoundLimits(max_seconds=0.4))
    with pytest.raises(SoundError, match=r"bytes exceed max_bytes=100; cut the file"):
        sound_length(data, limits=SoundLimits(max_bytes=100))
    with pytest.raises(SoundError, match="nothing is left between start=2 and end=None of 1.00 s"):
        sound_length(data, start=2)
    for end in (-1, "x", float("nan")):
        with pytest.raises(SoundError, match=f"end='?{end}'? is no number of seconds"):
            sound_length(data, end=end)  # type: ignore[arg-type]
