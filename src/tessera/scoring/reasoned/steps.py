"""Solutions in steps: split at blank lines, and each step held against a solution that is known."""

import re

from tessera.scoring.extract import normalise_answer
from tessera.scoring.reasoned.extraction import FinalAnswer, extract_answer

_BLANK = re.compile(r"\n\s*\n")
_SUM = re.compile(r"(\d+) \+ (\d+) = ")


def split_steps(text: str) -> list[str]:
    """The steps of a solution: what blank lines part, without those that are empty.

    >>> split_steps("red 4, blue 2.\\n\\n4 + 2 = 6.\\n\\nFinal answer: 6")
    ['red 4, blue 2.', '4 + 2 = 6.', 'Final answer: 6']
    """
    return [step.strip() for step in _BLANK.split(text) if step.strip()]


def judge_steps(expected: str, response: str) -> tuple[bool, ...]:
    """Whether each step of a response is right: it claims nothing that the expected solution does not claim.

    Claims are parted by commas; the terms of a sum may be swapped. A step that is left out makes none wrong,
    and another way to the same answer counts as wrong.
    """
    known = {claim for step in split_steps(expected) for claim in _claims(step)}
    return tuple(known >= _claims(step) for step in split_steps(response))


def grade_reasoned(final: str, response: str) -> bool:
    """Whether the answer that a response announces is `final`; never where it breaks the format "en"."""
    found = extract_answer(response, "en")
    return isinstance(found, FinalAnswer) and normalise_answer(found.answer) == normalise_answer(final)


def _claims(step: str) -> set[str]:
    return {_SUM.sub(_in_order, normalise_answer(claim)) for claim in step.split(",")}


def _in_order(found: re.Match[str]) -> str:
    one, two = sorted(found.groups(), key=int)
    return f"{one} + {two} = "
