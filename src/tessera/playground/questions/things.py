"""Questions about one picture of shapes: attributes, counts, relations, sizes, boxes and sums."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, permutations
from random import Random

from tessera.playground.drawings.marks import COLOR_NAMES, SHAPES
from tessera.playground.drawings.things import SLOT_COLUMN, SLOT_ROW, Plan, Thing, place_phrase
from tessera.playground.questions.asker import Asker

MARGIN = 8 / 64
"""Two centres must be this far apart (share of the picture) before left and right are asked about."""
SIDES = (("left", "right"), ("above", "below"))
"""The answers along each axis: first the one nearer to the picture's left upper corner."""
KEEP_TOTAL = {1: 1.0, 2: 0.8, 3: 0.55, 4: 0.4, 5: 0.2}
"""How often the number of all things is asked, by that number, so that the answers come out even."""


def plural(shape: str) -> str:
    """More than one of a shape."""
    return "crosses" if shape == "cross" else shape + "s"


def ask_about_things(asker: Asker, plan: Plan) -> None:
    """All questions about the things of one picture."""
    short = Counter(t.name for t in plan.things)
    full = Counter(t.full_name for t in plan.things)
    # The shortest of "red circle" and "big red circle" that fits a thing alone, or None.
    names = [
        t.name if short[t.name] == 1 else t.full_name if full[t.full_name] == 1 else None for t in plan.things
    ]
    _ask_attributes(asker, plan.things, names)
    _ask_counts(asker, plan)
    _ask_pairs(asker, plan.things, names)
    _ask_sums(asker, plan)


def _ask_attributes(asker: Asker, things: list[Thing], names: list[str | None]) -> None:
    rng = asker.rng
    shapes = Counter(t.shape for t in things)
    colors = Counter(t.color for t in things)
    order = list(range(len(things)))
    rng.shuffle(order)
    for turn, index in enumerate(order[:3]):
        thing, name = things[index], names[index]
        here = f"thing {place_phrase(thing.slot)}"
        asker.add("attribute", "color", thing.color, thing.shape if shapes[thing.shape] == 1 else here)
        by_color = f"{thing.color} thing" if colors[thing.color] == 1 else here
        asker.add("attribute", "shape", thing.shape, by_color)
        if turn < 2:
            # A name that tells the size would give the answer away.
            asker.add("attribute", "size", thing.size, thing.name if name == thing.name else here)
        if name and turn < 2:
            asker.add("relation", "where", thing.place, name)
            asker.add_box(name, thing.box)


def _ask_counts(asker: Asker, plan: Plan) -> None:
    rng, things = asker.rng, plan.things
    asker.add("count", "count", str(sum(t.shape == plan.shape for t in things)), plural(plan.shape))
    asker.add("count", "count", str(sum(t.color == plan.color for t in things)), f"{plan.color} things")
    if rng.random() < 0.5:
        big = rng.random() < 0.5
        phrase = "big things" if big else "small things"
        asker.add("count", "count", str(sum(t.big == big for t in things)), phrase)
    if rng.random() < KEEP_TOTAL[len(things)]:
        asker.add("count", "count", str(len(things)), "things")


def _ask_pairs(asker: Asker, things: list[Thing], names: list[str | None]) -> None:
    """At most two questions of each kind about two things; the order of the two is random."""
    rng = asker.rng
    known = [(t, name) for t, name in zip(things, names, strict=True) if name]
    rng.shuffle(known)
    left = {"left_right": 2, "above_below": 2}
    for (one, one_name), (two, two_name) in combinations(known, 2):
        for axis, kind in enumerate(left):
            if left[kind] and _apart(one, two, axis):
                left[kind] -= 1
                answer = SIDES[axis][one.box[axis] > two.box[axis]]
                asker.add("relation", kind, answer, one_name, two_name)
                break
    _ask_sizes(asker, [(t, name) for t, name in known if name == t.name], things)


def _ask_sizes(asker: Asker, named: list[tuple[Thing, str]], things: list[Thing]) -> None:
    """Which of a big and a small thing is bigger or smaller, by names without size and by places."""
    rng = asker.rng
    by_name = [(t.big, name, name) for t, name in named]
    by_place = [(t.big, f"thing {place_phrase(t.slot)}", t.place) for t in things]
    for candidates in (by_name, by_place):
        pairs = [(a, b) for a, b in permutations(candidates, 2) if a[0] != b[0]]
        if pairs:
            one, two = rng.choice(pairs)
            kind = rng.choice(("bigger", "smaller"))
            answer = one[2] if one[0] == (kind == "bigger") else two[2]
            asker.add("size", kind, answer, one[1], two[1])


def _apart(one: Thing, two: Thing, axis: int) -> bool:
    """Whether the order along an axis is clear in the picture and follows from the caption's places."""
    slots = SLOT_ROW if axis else SLOT_COLUMN
    if slots[one.slot] == slots[two.slot]:
        return False
    ends = [thing.box[axis] + thing.box[axis + 2] for thing in (one, two)]
    return abs(ends[0] - ends[1]) >= 2 * MARGIN


def _ask_sums(asker: Asker, plan: Plan) -> None:
    """One sum or difference with its steps; one side is the value whose count was drawn evenly."""
    rng = asker.rng
    by_shape = rng.random() < 0.5
    values = Counter(t.shape if by_shape else t.color for t in plan.things)
    first = plan.shape if by_shape else plan.color
    second = _partner(rng, values, SHAPES if by_shape else COLOR_NAMES, first)
    subtract = rng.random() < 0.4
    if (subtract and values[first] < values[second]) or (not subtract and rng.random() < 0.5):
        first, second = second, first
    one, two = (plural(v) if by_shape else f"{v} things" for v in (first, second))
    m, n = values[first], values[second]
    kind, sign = ("difference", "-") if subtract else ("sum", "+")
    asker.add_steps(kind, f"{one} {m}, {two} {n}, ", (m, sign, n), one, two)


def _partner(rng: Random, present: Counter[str], values: tuple[str, ...], taken: str) -> str:
    """Another value, mostly one that is in the picture."""
    others = [v for v in present if v != taken]
    if others and rng.random() < 0.8:
        return rng.choice(others)
    return rng.choice([v for v in values if v != taken])
