"""The playground's door: draw a scene of a suite from a seed, with every answer known.

>>> scene = draw_scene("shapes", seed=1)
>>> scene.questions[0].task in TASKS
True
"""

from collections.abc import Callable
from random import Random

from tessera.playground.chart import chart_scene
from tessera.playground.clip import clip_scene
from tessera.playground.clock import clock_scene
from tessera.playground.pair import pair_scene
from tessera.playground.parts import Scene
from tessera.playground.reasoning import reasoning_scene
from tessera.playground.shapes import shapes_scene
from tessera.playground.sounds.beeps import beeps_scene, picked_scene
from tessera.playground.sounds.spoken import spoken_scene
from tessera.playground.text import text_scene
from tessera.runtime.seeds import derive_seed

_DRAW: dict[str, Callable[[Random, tuple[int, int], int], Scene]] = {
    "shapes": shapes_scene,
    "text": text_scene,
    "chart": chart_scene,
    "pair": pair_scene,
    "clip": clip_scene,
    "clock": clock_scene,
    "reasoning": reasoning_scene,
    "sounds": beeps_scene,
    "picked": picked_scene,
    "spoken": spoken_scene,
}
NEW_SUITES = ("clock", "reasoning", "sounds", "picked", "spoken")
"""The shipped model was not trained on these: it can learn them by a fine-tune (docs/tune.md), those of
sounds with ears (docs/audio.md). `spoken` needs espeak-ng."""
SUITES = tuple(suite for suite in _DRAW if suite not in NEW_SUITES)
ALL_SUITES = (*SUITES, *NEW_SUITES)
LEVELS = (1, 2, 3)
"""Easy, standard (the shipped model is judged here), harder."""

TASKS: dict[str, str] = {
    "attribute": "the colour, shape or size of one thing",
    "count": "how many things of a colour, shape or size there are",
    "relation": "left or right, above or below, and the place in the picture",
    "size": "which of two things is bigger or smaller",
    "box": "the box of a thing, a letter or a bar in integers 0..1000",
    "arithmetic": "a sum or a difference of what is seen, with written steps",
    "read": "words and numbers, their letters and digits",
    "chart": "values, extremes and comparisons of the bars of a chart",
    "compare": "two pictures: counts and colours compared",
    "motion": "what moves in a clip, and which way",
    "order": "what came first, next and last in a clip",
}
NEW_TASKS: dict[str, str] = {
    "clock": "the time that a clock without numbers shows",
    "reason": "sums, differences, counts and comparisons that take several written steps",
    "hear": "beeps: how many, how high, and in which order",
    "hear_see": "a thing of a picture that a beep picks",
    "spoken": "digits that a voice says",
}
"""Tasks of NEW_SUITES: measured when they are named."""
ALL_TASKS = TASKS | NEW_TASKS
TASK_SUITES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("attribute", "count", "relation", "size"), ("shapes",)),
    "box": ("shapes", "text", "chart"),
    "arithmetic": ("shapes", "text", "chart"),
    "read": ("text",),
    "chart": ("chart",),
    "compare": ("pair",),
    **dict.fromkeys(("motion", "order"), ("clip",)),
    "clock": ("clock",),
    "reason": ("reasoning",),
    "hear": ("sounds",),
    "hear_see": ("picked",),
    "spoken": ("spoken",),
}
"""Where the questions of a task come from."""
SINGLE_PICTURE_TASKS = tuple(task for task in TASKS if not {"pair", "clip"} & {*TASK_SUITES[task]})


def draw_scene(suite: str, seed: int, size: tuple[int, int] = (64, 64), level: int = 2) -> Scene:
    """Draw one scene: RGB pictures of `size` (width, height) pixels with caption, regions and questions.

    Equal arguments give equal pixels and words in every process. Raises ValueError for an unknown suite or
    level, and for a side under 64 pixels.
    """
    if suite not in _DRAW:
        raise ValueError(f"suite {suite!r} is unknown: choose one of {', '.join(ALL_SUITES)}")
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is unknown: choose 1 (easy), 2 (standard) or 3 (harder)")
    if min(size) < 64:
        raise ValueError(f"size {size!r} is too small to be legible: give at least 64 pixels each way")
    rng = Random(derive_seed("playground", suite, seed, level, *size))
    return _DRAW[suite](rng, size, level)
