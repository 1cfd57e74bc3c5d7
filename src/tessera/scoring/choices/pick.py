"""What a rule takes an answer for."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

Options = Mapping[str, str]
"""Letter → text, in order; empty where the question's text holds them."""
_CAPITALS = MappingProxyType({letter.lower(): letter for letter in string.ascii_uppercase})


@dataclass(frozen=True)
class Pick:
    """letter: what is compared with the right one; None where a peer would guess or give up.

    why: in a few words. undecided: the letters a peer draws from at random, empty where it never does.
    """

    letter: str | None
    why: str
    undecided: tuple[str, ...] = ()


Rule = Callable[[str, Options], Pick]
"""Answer and options to what is picked. Total: no text raises."""


def capital(text: str) -> str:
    """One letter in any case as its capital; any other text as it is."""
    return _CAPITALS.get(text.lower(), text)


def drawn(pick: Pick, seed: int) -> Pick:
    """The letter that `random.seed(seed); random.choice(letters)` gives, for a pick that is undecided."""
    letter = random.Random(seed).choice(pick.undecided)
    return Pick(letter, f"{pick.why}; drawn at random with seed {seed}: {letter}")


def last_of(places: Sequence[tuple[int, str]]) -> str:
    """The letter with the highest place; the first of equal ones."""
    return max(places, key=lambda each: each[0])[1]
