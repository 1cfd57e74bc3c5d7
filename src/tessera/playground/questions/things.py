"""Questions about one picture of shapes: attributes, counts, relations, sizes, boxes and sums."""

from collections import Counter
from itertools import combinations, permutations
from random import Random

from tessera.playground.drawings.marks import COLOR_NAMES, SHAPES
from tessera.playground.drawings.things import SLOTS, Plan, Thing
from tessera.playground.questions.asker import Asker

MARGIN = 8 / 64
"""Two centres must be this far apart (share of the picture) before left and right are asked about."""
SIDES = (("left", "right"), ("above", "below"))
"""The answers along each axis: first the one nearer to the picture's left upper corner."""
Named = tuple[Thing, str]
"""A thing with what it alone is called, "" without such a name."""
KEEP_TOTAL = {1: 1.0, 2: 0.8, 3: 0.55, 4: 0.4, 5: 0.2}
"""How often the number of all things is asked, by that number, so that the answers come out even."""


def plural(shape: str) -> str:
    """More than one of a shape."""
    return "crosses" if shape == "cross" else shape + "s"


def ask_about_things(asker: Asker, plan: Plan) -> None:
    """All questions about the things of one picture."""
    short = Counter(t.name for t in plan.things)
    full = Counter(t.full_name for t in plan.things)
    # The shortest of "red circle" and "big red circle" that fits a thing alone, or none.
    named = [
        (t, t.name if short[t.name] == 1 else t.full_name if full[t.full_name] == 1 else "")
        for t in plan.things
    ]
    _ask_attributes(asker, named)
    _ask_counts(asker, plan)
    _ask_pairs(asker, named)
    _ask_sums(asker, plan)


def _ask_attributes(asker: Asker, named: list[Named]) -> None:
    shapes = Counter(t.shape for t, _ in named)
    colors = Counter(t.color for t, _ in named)
    order = named.copy()
    asker.rng.shuffle(order)
    for turn, (thing, name) in enumerate(order[:3]):
        here = f"thing {thing.where}"
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


def _ask_pairs(asker: Asker, named: list[Named]) -> None:
    """At most two questions of each kind about two things; the order of the two is random."""
    known = [each for each in named if each[1]]
    asker.rng.shuffle(known)
    left = {"left_right": 2, "above_below": 2}
    for (one, one_name), (two, two_name) in combinations(known, 2):
        for axis, kind in enumerate(left):
            if left[kind] and _apart(one, two, axis):
                left[kind] -= 1
                answer = SIDES[axis][one.box[axis] > two.box[axis]]
                asker.add("relation", kind, answer, one_name, two_name)
                break
    # Which of a big and a small thing is bigger or smaller, by names without size and by places.
    _ask_sizes(asker, [(t.big, name, name) for t, name in known if name == t.name])
    _ask_sizes(asker, [(t.big, f"thing {t.where}", t.place) for t, _ in named])


def _ask_sizes(asker: Asker, things: list[tuple[bool, str, str]]) -> None:
    """One question about two things; of each whether it is big, what it is called, and that as an answer."""
    rng = asker.rng
    pairs = [(one, two) for one, two in permutations(things, 2) if one[0] != two[0]]
    if pairs:
        one, two = rng.choice(pairs)
        kind = rng.choice(("bigger", "smaller"))
        answer = one[2] if one[0] == (kind == "bigger") else two[2]
        asker.add("size", kind, answer, one[1], two[1])


def _apart(one: Thing, two: Thing, axis: int) -> bool:
    """Whether the order along an axis is clear in the picture and follows from the caption's places."""
    if SLOTS[axis][one.slot] == SLOTS[axis][two.slot]:
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
    if values[first] < values[second] if subtract else rng.random() < 0.5:
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
