"""One picture of shapes."""

from random import Random

from tessera.chat.message import Image
from tessera.playground.drawings.marks import Canvas
from tessera.playground.drawings.things import describe_things, paint, plan_things, thing_regions
from tessera.playground.parts import Scene
from tessera.playground.questions.asker import Asker
from tessera.playground.questions.things import ask_about_things


def shapes_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """One picture of shapes with its questions."""
    plan = plan_things(rng, level)
    image = paint(plan.things, Canvas(size, level, rng))
    asker = Asker(rng)
    ask_about_things(asker, plan)
    regions = thing_regions(plan.things)
    return Scene("shapes", (Image(image),), describe_things(plan.things), regions, tuple(asker.questions))
