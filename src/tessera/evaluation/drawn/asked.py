"""Questions of the drawn benchmarks, from held-out scenes: single ones, choices, pairs of yes and no."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice, permutations
from random import Random
from string import ascii_lowercase, ascii_uppercase, digits
from typing import cast

import PIL.Image

from tessera.chat.message import Image, Video
from tessera.evaluation.tasks import HeldoutItem, heldout_questions
from tessera.playground.parts import Scene
from tessera.playground.questions.asker import YES_NO, wordings
from tessera.playground.scene import draw_scene
from tessera.runtime.seeds import derive_seed

MOST_OPTIONS = 4


@dataclass(frozen=True)
class OptionRow:
    """A question with its options by letter and the letter of the right one."""

    item: HeldoutItem
    options: dict[str, str]
    letter: str

    def rotated(self) -> Iterator[tuple[dict[str, str], str]]:
        """Options and letter in every rotation: each option moves up, the first to the end."""
        texts = list(self.options.values())
        for turn in range(len(texts)):
            turned = dict(zip(self.options, texts[turn:] + texts[:turn], strict=True))
            yield turned, next(k for k, v in turned.items() if v == self.options[self.letter])


@dataclass(frozen=True)
class YesNoPair:
    """Two questions about one picture, the first with the answer yes, the second with no."""

    picture: PIL.Image.Image
    yes: str
    no: str


def picture_of(scene: Scene) -> PIL.Image.Image:
    """The picture that a scene's questions are about."""
    return cast(PIL.Image.Image, cast(Image, scene.media[0]).source)


def frames_of(scene: Scene) -> tuple[PIL.Image.Image, ...]:
    """The frames of a scene's clip."""
    return cast(tuple[PIL.Image.Image, ...], cast(Video, scene.media[0]).source)


def questions(name: str, suites: str, kinds: Collection[str], count: int) -> list[HeldoutItem]:
    """So many questions of these kinds from suites in turn; kinds and answers come equally often."""
    return list(islice(heldout_questions(name, suites.split(), lambda q: q.kind in kinds), count))


def choices(name: str, suite: str, kinds: Collection[str], count: int) -> list[OptionRow]:
    """Questions with up to MOST_OPTIONS options: the answer, and other answers to questions of its kind."""
    asked = questions(name, suite, kinds, max(count, 16 * len(kinds)))
    known = {
        kind: sorted({each.question.final for each in asked if each.question.kind == kind}) for kind in kinds
    }
    found = []
    for number, item in enumerate(asked[:count]):
        rng, right = Random(derive_seed("heldout", name, "options", number)), item.question.final
        others = [answer for answer in known[item.question.kind] if answer != right]
        texts = [right, *rng.sample(others, min(len(others), MOST_OPTIONS - 1))]
        rng.shuffle(texts)
        options = dict(zip(ascii_uppercase, texts, strict=False))
        found.append(OptionRow(item, options, ascii_uppercase[texts.index(right)]))
    return found


def pairs(name: str, about: str, count: int) -> list[YesNoPair]:
    """So many pairs about letters of a word, digits of a number, or bars; other scenes for each `name`."""
    found: list[YesNoPair] = []
    index = 0
    while len(found) < count:
        seed = derive_seed("heldout", name, index)
        scene, rng = draw_scene("chart" if about == "bars" else "text", seed), Random(seed)
        kind, right, wrong = (_bars if about == "bars" else _signs)(about, scene, rng)
        if kind:
            wording = rng.choice(wordings()[kind])
            found.append(YesNoPair(picture_of(scene), wording.format(**right), wording.format(**wrong)))
        index += 1
    return found


Claims = tuple[str, dict[str, str], dict[str, str]]
"""A kind of question, what makes it right, and what makes it wrong; no kind for a scene of another sort."""


def _bars(about: str, scene: Scene, rng: Random) -> Claims:
    bars = [(color, int(value)) for color, _, value in (region.phrase.split() for region in scene.regions)]
    unequal = [(one, two) for (one, m), (two, n) in permutations(bars, 2) if m > n]
    high, low = rng.choice(unequal) if unequal else ("", "")
    return ("is_higher" if unequal else ""), {"a": high, "b": low}, {"a": low, "b": high}


def _signs(about: str, scene: Scene, rng: Random) -> Claims:
    whole, kind = ("word", "has_letter") if about == "letters" else ("number", "has_digit")
    written = [region.phrase.split()[1] for region in scene.regions if region.phrase.startswith(f"{whole} ")]
    if len(written) != 1:
        return "", {}, {}
    absent = [sign for sign in (ascii_lowercase if about == "letters" else digits) if sign not in written[0]]
    return kind, {"a": rng.choice(written[0])}, {"a": rng.choice(absent)}


def is_yes(item: HeldoutItem) -> bool:
    """Whether a question of yes and no has the answer yes."""
    return item.question.final == YES_NO[1]
