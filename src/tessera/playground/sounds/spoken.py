"""Digits that a voice says: espeak-ng, started as a program where it is installed."""

import shutil
import subprocess
from random import Random

from tessera.chat.message import Audio
from tessera.playground.parts import Scene
from tessera.playground.questions.asker import Asker

PROGRAMS = ("espeak-ng", "espeak")
MOST = {1: 1, 2: 3, 3: 5}
"""Digits of a sound, by level."""
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m3")
PATIENCE = 20.0
"""Seconds that the program may take."""


def spoken_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """One or several digits. ValueError where espeak-ng is not installed."""
    digits = [str(rng.randint(0, 9)) for _ in range(rng.randint(1, MOST[level]))]
    sound = Audio(speak(" ".join(digits), rng.choice(VOICES), rng.randint(130, 190), rng.randint(35, 65)))
    asker = Asker(rng)
    asker.add("spoken", "spoken_digits", " ".join(digits))
    asker.add("spoken", "spoken_count", str(len(digits)))
    return Scene("spoken", (sound,), f"a voice says {' '.join(digits)}.", (), tuple(asker.questions))


def speak(text: str, voice: str = "en-us", speed: int = 160, pitch: int = 50) -> bytes:
    """A WAV file of a text; speed in words a minute, pitch 0 to 99.

    Raises ValueError naming the remedy where no such program is installed or it fails.
    """
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise ValueError(
            "suite 'spoken': espeak-ng is not installed here; install it (apt install espeak-ng), or take "
            "the suite 'sounds'"
        )
    command = [program, "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), text]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(f"suite 'spoken': {program} failed ({error}); try it by hand") from error
    return done.stdout
