"""Drawn sounds: equal seeds, answers that the sound itself gives, pictures beside them, spoken digits."""

from __future__ import annotations

import stat
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from tessera.audio.decode import RATE, read_sound
from tessera.audio.wav import to_wav
from tessera.chat.message import Audio, Image
from tessera.playground.parts import Scene
from tessera.playground.scene import TASK_SUITES, draw_scene
from tessera.playground.sounds.spoken import speak
from tessera.playground.sounds.tones import PITCHES
from tessera.playground.talk import caption_conversation, opening


def sound_of(scene: Scene) -> NDArray[np.float32]:
    (part,) = [part for part in scene.media if isinstance(part, Audio)]
    return read_sound(part.source)


def heard(samples: NDArray[np.float32]) -> list[str]:
    """Names of the pitches of the beeps, from the loudness and the spectrum alone."""
    step = RATE // 100
    loud = np.sqrt(np.square(samples[: len(samples) // step * step]).reshape(-1, step).mean(1)) > 0.06
    edges = np.flatnonzero(np.diff(loud.astype(int), prepend=0, append=0))
    found = []
    for start, stop in edges.reshape(-1, 2) * step:
        spectrum = np.abs(np.fft.rfft(samples[start:stop] * np.hanning(stop - start)))
        hertz = spectrum.argmax() * RATE / (stop - start)
        found += [name for name, (low, high) in PITCHES.items() if low - 30 <= hertz <= high + 30]
    return found


@pytest.mark.parametrize("level", [1, 2])
def test_the_sound_gives_the_answers(level: int) -> None:
    order = ("low", "middle", "high")
    for seed in range(40):
        scene = draw_scene("sounds", seed, level=level)
        pitches = heard(sound_of(scene))
        for question in scene.questions:
            if question.kind == "beeps":
                assert question.final == str(len(pitches))
            elif question.kind == "beep_pitch":
                place = 0 if "first" in question.text else -1
                assert question.final == pitches[place] and question.final in scene.caption
            else:
                rose = order.index(pitches[-1]) > order.index(pitches[0])
                assert question.final == ("higher" if rose else "lower")
    assert TASK_SUITES["hear"] == ("sounds",)


def test_equal_seeds_give_equal_sounds_and_others_others() -> None:
    one, same, other = (draw_scene("sounds", seed) for seed in (3, 3, 4))
    assert one == same and one.media != other.media


def test_a_beep_picks_a_thing_of_the_picture() -> None:
    answers = set()
    for seed in range(30):
        scene = draw_scene("picked", seed)
        assert [type(part) for part in scene.media] == [Image, Audio]
        (pitch,) = heard(sound_of(scene))
        left, *_, right = sorted(scene.regions, key=lambda region: region.box[0] + region.box[2])
        region = left if pitch == "high" else right
        for question in scene.questions:
            assert question.final in region.phrase
            answers.add(question.final)
    assert len(answers) > 6


def test_scenes_of_sounds_as_conversations() -> None:
    scene = draw_scene("picked", 1)
    (message,) = [opening(scene, "what?")]
    assert [type(part) for part in message.parts if not hasattr(part, "text")] == [Image, Audio]
    assert not any(isinstance(part, Audio) for part in opening(scene, "what?", "blind").parts)
    talk = caption_conversation(draw_scene("sounds", 2), Random(0))
    assert any(isinstance(part, Audio) for part in talk.messages[0].parts)


def program(folder: Path, text: str) -> None:
    """A program that answers as espeak-ng does."""
    file = folder / "espeak-ng"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_spoken_digits_come_from_espeak_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "said.wav").write_bytes(to_wav(np.full(1600, 0.1)))
    program(tmp_path, f'echo "$@" > {tmp_path}/asked; cat {tmp_path}/said.wav')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    scene = draw_scene("spoken", 5)
    digits = next(question.final for question in scene.questions if question.kind == "spoken_digits")
    assert (tmp_path / "asked").read_text().split()[-len(digits.split()) :] == digits.split()
    assert len(sound_of(scene)) == 1600
    program(tmp_path, "exit 3")
    with pytest.raises(ValueError, match="suite 'spoken': .*espeak-ng failed"):
        speak("1")


def test_without_espeak_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"espeak-ng is not installed here; install it .*, or take"):
        draw_scene("spoken", 5)
