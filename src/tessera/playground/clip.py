"""Short clips: one thing moves while another stays, or things appear one after another."""

from random import Random

import PIL.Image

from tessera.chat.message import Video
from tessera.playground.drawings.marks import COLOR_NAMES, COLORS, SHAPES, Canvas, shape_mask
from tessera.playground.drawings.things import Thing, draw_things, place_things
from tessera.playground.parts import Region, Scene
from tessera.playground.questions.asker import YES_NO, Asker

FRAMES = (4, 5, 6)
STEPS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
ARRIVALS = {1: (2, 2), 2: (2, 3), 3: (3, 4)}
SIDE = 20
"""Canvas units of the thing that moves."""
Drawn = tuple[list[PIL.Image.Image], list[Region], str, Asker]
"""Frames, regions of the first one, what happens in words, and the questions."""


def clip_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """A clip of motion or of arrivals, equally often."""
    draw = _motion if rng.random() < 0.5 else _arrivals
    frames, regions, story, asker = draw(rng, size, level)
    caption = f"a clip of {len(frames)} frames. {story}"
    return Scene("clip", (Video(tuple(frames)),), caption, tuple(regions), tuple(asker.questions))


def _motion(rng: Random, size: tuple[int, int], level: int) -> Drawn:
    """One thing crosses the picture; at levels 2 and 3 another stays where it is."""
    count, direction = rng.choice(FRAMES), rng.choice(list(STEPS))
    colors, shapes = rng.sample(COLOR_NAMES, 2), rng.sample(SHAPES, 2)
    mover = Thing(shapes[0], colors[0], True, 0)
    still = Thing(shapes[1], colors[1], rng.random() < 0.5, 0) if level > 1 else None
    path = _path(rng, direction, count, size)
    if still:
        still.slot = _free_slot(rng, direction, path, size)
    frames, regions = _film(Canvas(size, level, rng), mover, still, path)
    asker = Asker(rng)
    _ask_motion(asker, mover, still, direction, count)
    story = f"a {mover.full_name} moves {direction}."
    if still:
        story += f" a {still.full_name} stays {still.where}."
    return frames, regions, story, asker


def _path(rng: Random, direction: str, count: int, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Left upper corners of the moving thing in pixels, one a frame."""
    dx, dy = STEPS[direction]
    start, end = rng.randint(2, 6), rng.randint(38, 42)
    across = rng.choice((rng.randint(2, 6), rng.randint(38, 42)))
    half = SIDE // 2
    points = []
    for index in range(count):
        along = start + (end - start) * index / (count - 1)
        along = along if dx + dy > 0 else 64 - SIDE - along
        corner = (along, across) if dx else (across, along)
        x, y = (round((c + half) * s / 64 - half * min(size) / 64) for c, s in zip(corner, size, strict=True))
        points.append((x, y))
    return points


def _free_slot(rng: Random, direction: str, path: list[tuple[int, int]], size: tuple[int, int]) -> int:
    """A corner on the side of the canvas that the mover never enters."""
    if STEPS[direction][0]:
        return rng.choice((3, 4) if path[0][1] < size[1] * 0.3 else (0, 1))
    return rng.choice((1, 4) if path[0][0] < size[0] * 0.3 else (0, 3))


def _film(
    canvas: Canvas, mover: Thing, still: Thing | None, path: list[tuple[int, int]]
) -> tuple[list[PIL.Image.Image], list[Region]]:
    """The frames, and the regions of the first frame."""
    regions = []
    if still:
        place_things([still], canvas)
        draw_things([still], canvas)
        regions.append(Region(still.full_name, still.box))
    side = round(SIDE * canvas.unit)
    mask, scenery, frames = shape_mask(mover.shape, side), canvas.image, []
    for x, y in path:
        canvas.image = scenery.copy()
        canvas.stamp(mask, COLORS[mover.color], x, y)
        frames.append(canvas.finished())
    x, y = path[0]
    regions.append(Region(mover.full_name, canvas.share((x, y, x + side, y + side))))
    return frames, regions


def _ask_motion(asker: Asker, mover: Thing, still: Thing | None, direction: str, count: int) -> None:
    rng = asker.rng
    asker.add("motion", "direction", direction, rng.choice((mover.name, mover.shape)))
    asker.add("motion", "direction", direction, f"{mover.color} thing")
    claim = direction if rng.random() < 0.5 else rng.choice([d for d in STEPS if d != direction])
    asker.add("motion", "moves_to", YES_NO[claim == direction], mover.name, claim)
    asker.add_all("motion", moving_color=mover.color, moving_shape=mover.shape)
    asker.add("order", "frames", str(count))
    if still:
        asker.add("motion", "still_color", still.color)
        moves = rng.random() < 0.5
        asker.add("motion", "does_move", YES_NO[moves], mover.name if moves else still.name)


def _arrivals(rng: Random, size: tuple[int, int], level: int) -> Drawn:
    """Things of different colours appear one after another and stay."""
    arrivals = rng.randint(*ARRIVALS[level])
    count = rng.choice([n for n in FRAMES if n > arrivals])
    colors = rng.sample(COLOR_NAMES, arrivals)
    slots = rng.sample(range(5), arrivals)
    things = [Thing(rng.choice(SHAPES), c, rng.random() < 0.6, s) for c, s in zip(colors, slots, strict=True)]
    coming = dict(zip(sorted(rng.sample(range(count), arrivals)), things, strict=True))
    canvas = Canvas(size, level, rng)
    place_things(things, canvas)
    frames = []
    for index in range(count):
        draw_things([coming[index]] if index in coming else [], canvas)
        frames.append(canvas.finished())
    asker = Asker(rng)
    _ask_order(asker, things, count)
    heads = ("first", *["then"] * (arrivals - 1))
    story = [f"{h} a {t.full_name} {t.where}." for h, t in zip(heads, things, strict=True)]
    regions = [Region(coming[0].full_name, coming[0].box)] if 0 in coming else []
    return frames, regions, " ".join(story), asker


def _ask_order(asker: Asker, things: list[Thing], count: int) -> None:
    rng = asker.rng
    first, *_, last = things
    asker.add_all("order", first_color=first.color, last_color=last.color)
    asker.add_all("order", first_shape=first.shape, last_shape=last.shape)
    step = rng.randrange(len(things) - 1)
    asker.add("order", "after", things[step + 1].color, things[step].color)
    early, late = sorted(rng.sample(range(len(things)), 2))
    answer = rng.random() < 0.5
    one, two = (early, late) if answer else (late, early)
    asker.add("order", "before", YES_NO[answer], things[one].color, things[two].color)
    colors = ", ".join(t.color for t in things)
    asker.add_all("order", order=colors, things_at_end=str(len(things)), frames=str(count))
