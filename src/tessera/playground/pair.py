"""Two pictures of shapes side by side, with questions that need both."""

from random import Random

from tessera.chat.message import Image
from tessera.playground.drawings.marks import COLOR_NAMES, SHAPES, Canvas
from tessera.playground.drawings.things import Thing, describe_things, paint, thing_regions
from tessera.playground.parts import Scene
from tessera.playground.questions.asker import YES_NO, Asker
from tessera.playground.questions.things import plural

BOTH = (0, 1)
MOST = {1: 2, 2: 3, 3: 3}
"""The largest count of the compared shape in one picture, by level."""


def pair_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """Two pictures: one shape is counted in both, another stands once in each, of one colour or of two."""
    counted, shared, *rest = rng.sample(SHAPES, 4)
    counts = _two_counts(rng, MOST[level])
    color = rng.choice(COLOR_NAMES)
    same_color = rng.random() < 0.5
    colors = (color, color if same_color else rng.choice([c for c in COLOR_NAMES if c != color]))
    pictures = [_things(rng, counted, counts[i], (shared, colors[i]), rest, level) for i in BOTH]
    media = tuple(Image(paint(things, Canvas(size, level, rng))) for things in pictures)
    asker = Asker(rng)
    _ask_counts(asker, plural(counted), counts)
    asker.add("compare", "same_color", YES_NO[same_color], shared, images=BOTH)
    for index, things in enumerate(pictures):
        asker.add("compare", "color_in", colors[index], shared, index + 1, images=(index,))
        asker.add("compare", "count_in", str(len(things)), "things", index + 1, images=(index,))
    caption = " ".join(f"picture {i + 1}: {describe_things(things)}" for i, things in enumerate(pictures))
    return Scene("pair", media, caption, thing_regions(pictures[0]), tuple(asker.questions))


def _two_counts(rng: Random, most: int) -> tuple[int, int]:
    """Two counts; equal in half of the pairs."""
    one = rng.randint(0, most)
    if rng.random() < 0.5:
        return one, one
    return one, rng.choice([n for n in range(most + 1) if n != one])


def _things(
    rng: Random, counted: str, count: int, shared: tuple[str, str], rest: list[str], level: int
) -> list[Thing]:
    """The counted things, the shared one, and perhaps one more, in random slots."""
    kinds = [*((counted, rng.choice(COLOR_NAMES)) for _ in range(count)), shared]
    if rng.random() < 0.5 and level > 1:
        kinds.append((rng.choice(rest), rng.choice(COLOR_NAMES)))
    slots = rng.sample(range(5), len(kinds))
    return [Thing(*kind, rng.random() < 0.5, slot) for kind, slot in zip(kinds, slots, strict=True)]


def _ask_counts(asker: Asker, name: str, counts: tuple[int, int]) -> None:
    rng = asker.rng
    one, two = counts
    asker.add("compare", "same_count", YES_NO[one == two], name, images=BOTH)
    for index in BOTH:
        asker.add("compare", "count_in", str(counts[index]), name, index + 1, images=(index,))
    asker.add_steps("sum_both", f"{one} and {two}, ", (one, "+", two), name, task="compare", images=BOTH)
    if one == two:
        return
    more = 1 if one > two else 2
    kind = rng.choice(("more_in", "fewer_in"))
    asker.add("compare", kind, str(more if kind == "more_in" else 3 - more), name, images=BOTH)
    terms = (max(one, two), "-", min(one, two))
    asker.add_steps("more_by", "", terms, name, more, task="compare", images=BOTH)
