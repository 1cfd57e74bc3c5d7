"""Worked solutions: the number or formula that they end in."""

import re
from collections.abc import Callable

from tessera.scoring.reasoned.expression import expression_score
from tessera.scoring.reasoned.extraction import last_box
from tessera.scoring.settings import one_of
from tessera.scoring.texts.tasks.math_strings import answer_of, boxed, same_answer
from tessera.scoring.verdict import Reference, Verdict

_NUMBER = re.compile(r"-?\d+\.\d+|-?\d+")
_NEXT_QUESTION = "Question:"
_SOLVED = "#### "
_CLOSE = 1e-6
_ANNOUNCED = re.compile(
    r"(?:final answer|answer)\s*(?:is|:|：)\s*(.+)|(?:答案(?:是|为)?)\s*[:：]?\s*(.+)", re.IGNORECASE
)


def gsm8k() -> Callable[[str, Reference], Verdict]:
    """The last number before any further `Question:` is that of the answer, as OpenCompass has it.

    Answers are numbers, or solutions that end in `#### number`. Commas in a reply divide numbers.
    """

    def score(prediction: str, reference: Reference, /) -> Verdict:
        numbers = _NUMBER.findall(prediction.split(_NEXT_QUESTION)[0])
        if not numbers:
            return Verdict(0.0, None, "no number")
        right = any(_same_number(numbers[-1], _solved(answer)) for answer in reference.answers)
        return Verdict(float(right), numbers[-1], "the last number")

    return score


def math_answer(rules: str = "official") -> Callable[[str, Reference], Verdict]:
    """The final answer of a solution is that of the answer, a solution too or what its box holds.

    rules: official (OpenCompass's MATHEvaluator, version 2: texts are compared) or values (the last box, else
    what the last "answer is" announces, else the last line; formulas are compared by their values).
    """
    by_values = one_of("rules", rules, ("official", "values")) == "values"
    same = expression_score if by_values else same_answer

    def score(prediction: str, reference: Reference, /) -> Verdict:
        said = _final(prediction) if by_values else answer_of(prediction)
        meant = [_boxed(answer) if by_values else boxed(answer) or answer for answer in reference.answers]
        right = any(same(said, answer) for answer in meant)
        return Verdict(float(right), said, "the same" if right else "another answer")

    return score


def _solved(answer: str) -> str:
    return answer.rsplit(_SOLVED, 1)[-1].replace(",", "").strip()


def _same_number(said: str, meant: str) -> bool:
    try:
        return said == meant or abs(float(said) - int(meant)) < _CLOSE
    except (ValueError, OverflowError):
        return False


def _boxed(text: str) -> str:
    box = last_box(text)
    return text if box is None else box


def _final(text: str) -> str:
    box = last_box(text)
    if box is not None:
        return box
    if announced := _ANNOUNCED.findall(text):
        return "".join(announced[-1]).strip()
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
