"""A response as steps: the pieces between its blank lines."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

SEPARATOR = "\n\n"


@dataclass(frozen=True)
class SolutionStep:
    """A piece of a response. `end`: the response up to there, to the character, is the solution so far."""

    text: str
    end: int


def split_steps(response: str, most: int | None = None) -> tuple[SolutionStep, ...]:
    r"""The steps of a response; more than `most` are merged, so many consecutive ones each
    (docs/facts/process_reward.md).

    Pieces of white space alone are no steps. A response without a blank line is one step, an empty one none.

    >>> [step.text for step in split_steps("a\n\nb\n\n\n\nc", most=2)]
    ['a\n\nb', 'c']
    """
    if most is not None and most < 1:
        raise ValueError(f"max_steps = {most}: give at least 1")
    bounds: list[tuple[int, int]] = []
    start = 0
    for piece in response.split(SEPARATOR):
        if piece.strip():
            bounds.append((start, start + len(piece)))
        start += len(piece) + len(SEPARATOR)
    size = 1 if most is None else max(1, ceil(len(bounds) / most))
    groups = (bounds[first : first + size] for first in range(0, len(bounds), size))
    return tuple(SolutionStep(response[group[0][0] : group[-1][1]], group[-1][1]) for group in groups)
