"""Beeps: how many, how high, in which order; and a picture with two things, one of which a beep picks."""

from random import Random

from tessera.chat.message import Audio, Image
from tessera.playground.drawings.marks import COLOR_NAMES, SHAPES, Canvas
from tessera.playground.drawings.things import Thing, describe_things, paint, thing_regions
from tessera.playground.parts import Scene
from tessera.playground.questions.asker import Asker
from tessera.playground.sounds.tones import PITCHES, beeps

MOST = {1: 3, 2: 5, 3: 7}
"""Beeps of a sound, by level."""
ORDER = ("low", "middle", "high")
LEFT, RIGHT = (0, 3), (1, 4)
"""Slots of a picture on either side."""


def beeps_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """One to `MOST` beeps; of two or more it is asked, too, whether the pitch rose."""
    pitches = [rng.choice(ORDER) for _ in range(rng.randint(1, MOST[level]))]
    asker = Asker(rng)
    asker.add("hear", "beeps", str(len(pitches)))
    asker.add("hear", "beep_pitch", pitches[0], "first")
    if len(pitches) > 1:
        asker.add("hear", "beep_pitch", pitches[-1], "last")
    first, last = (ORDER.index(pitches[place]) for place in (0, -1))
    if first != last:
        asker.add("hear", "beep_order", "higher" if last > first else "lower")
    caption = f"{len(pitches)} beep{'s' if len(pitches) > 1 else ''}: {', '.join(pitches)}."
    sound = Audio(beeps(rng, pitches, level))
    return Scene("sounds", (sound,), caption, (), tuple(asker.questions))


def picked_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """Two things side by side and one beep, high for the left one, low for the right one."""
    colors, shapes = rng.sample(COLOR_NAMES, 2), rng.sample(SHAPES, 2)
    slots = rng.choice(LEFT), rng.choice(RIGHT)
    things = [
        Thing(shape, color, rng.random() < 0.5, slot)
        for shape, color, slot in zip(shapes, colors, slots, strict=True)
    ]
    pitch = rng.choice(("low", "high"))
    assert pitch in PITCHES
    thing = things[0 if pitch == "high" else 1]
    picture = paint(things, Canvas(size, level, rng))
    asker = Asker(rng)
    asker.add("hear_see", "picked_color", thing.color, images=(0, 1))
    asker.add("hear_see", "picked_shape", thing.shape, images=(0, 1))
    caption = f"{describe_things(things)} one {pitch} beep."
    media = Image(picture), Audio(beeps(rng, [pitch], level))
    return Scene("picked", media, caption, thing_regions(things), tuple(asker.questions))
