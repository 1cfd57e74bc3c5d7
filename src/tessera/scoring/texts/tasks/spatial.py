"""Numbers about space, by mean relative accuracy, and the letters that are asked beside them (VSI-Bench)."""

import ast
import re
from collections.abc import Callable, Mapping

import numpy as np

from tessera.scoring.columns import column_of
from tessera.scoring.settings import names, one_of
from tessera.scoring.texts.tasks.last_letter import behind_thought, last_letter
from tessera.scoring.verdict import Reference, Verdict

NUMERIC = ("object_abs_distance", "object_counting", "object_size_estimation", "room_size_estimation")
"""VSI-Bench's types of questions that ask for a number."""
_ERRORS = 1 - np.linspace(0.5, 0.95, 10)
_SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty"""
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_VALUES = (
    {word: value for value, word in enumerate(_SMALL.split())}
    | {word: 30 + 10 * tens for tens, word in enumerate(_TENS.split())}
    | {"hundred": 100, "thousand": 1000}
)
_WORD = re.compile(r"[a-z]+")
_DIGITS = re.compile(r"-?\d+(?:\.\d+)?")
_NUMBER = r"[-+]?(?:\d*\.\d+|\d+)(?:[eE][-+]?\d+)?"
_NUMBERS = re.compile(_NUMBER)
_TAGGED = re.compile(
    rf"<\s*answer\b[^>]*>\s*({_NUMBER})(?:[^\d<][^<]*)?<\s*/\s*answer\s*>", re.IGNORECASE | re.DOTALL
)
_TO_TWENTY = re.compile(rf"\b({'|'.join(_SMALL.split())})\b", re.IGNORECASE)
_UNSEEN = re.compile("[\u200b\u200c\u200d\ufeff]")


def relative_accuracy(value: float, answer: float, signed: bool = True) -> float:
    """Share of θ = 0.50, 0.55, … 0.95 with |value − answer| / answer ≤ 1 − θ (arXiv:2412.14171).

    An answer of 0 asks for |value| ≤ 1 − θ. signed: a negative answer makes the error negative, so that all
    is right, as the published script has it.

    >>> relative_accuracy(9, 10)
    0.9
    """
    error = abs(value - answer)
    if answer:
        error /= answer if signed else abs(answer)
    return float((error <= _ERRORS).mean())


def first_word(text: str) -> str:
    """Up to the first space, without full stops at its end."""
    return text.split(" ")[0].rstrip(".").strip()


def mra(rules: str = "official") -> Callable[[str, Reference], Verdict]:
    """Mean relative accuracy of a number.

    rules: official (the first word is the number), lmms-eval (the first number, also in words), or vlmevalkit
    (the number in `<answer>`, else the last one behind the thought).
    """
    read = READERS[one_of("rules", rules, READERS)]

    def score(prediction: str, reference: Reference, /) -> Verdict:
        return _accuracy(read(prediction), reference, rules != "vlmevalkit")

    return score


def vsi(
    rules: str = "official", column: str = "question_type", numeric: object = NUMERIC
) -> Callable[[str, Reference], Verdict]:
    """Numbers as `mra` for the types in `numeric`; for all others a letter.

    rules: official and lmms-eval take the first word for the letter, vlmevalkit the last one that is found.
    """
    read = READERS[one_of("rules", rules, READERS)]
    kinds = names("numeric", numeric)

    def score(prediction: str, reference: Reference, /) -> Verdict:
        if column_of(reference, column) in kinds:
            return _accuracy(read(prediction), reference, rules != "vlmevalkit")
        said = (last_letter(prediction) or "") if rules == "vlmevalkit" else first_word(prediction)
        right = any(said.lower() == answer.lower() for answer in reference.answers)
        return Verdict(float(right), said, "right" if right else "another letter")

    return score


def _accuracy(value: float | None, reference: Reference, signed: bool) -> Verdict:
    if value is None:
        return Verdict(0.0, None, "no number")
    answers = [_float(answer) for answer in reference.answers]
    found = [relative_accuracy(value, answer, signed) for answer in answers if answer is not None]
    return Verdict(max(found, default=0.0), f"{value:g}", "mean relative accuracy")


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _first_number(text: str) -> float | None:
    """The first number of a reply: digits, or words up to the thousands."""
    text = text.strip().lower()
    digits, words, start = _DIGITS.search(text), [], None
    for found in _WORD.finditer(text):
        if found[0] in _VALUES:
            start = found.start() if start is None else start
            words.append(_VALUES[found[0]])
        elif start is not None and found[0] != "and":
            break
    if digits and (start is None or digits.start() < start):
        return float(digits[0])
    return None if start is None else _spoken(words)


def _spoken(words: list[int]) -> float:
    total = current = 0
    for value in words:
        if value == 1000:
            total, current = total + max(current, 1) * 1000, 0
        else:
            current = max(current, 1) * 100 if value == 100 else current + value
    return float(total + current)


def _last_number(text: str) -> float | None:
    """The number in `<answer>`, else the last one behind the thought, else the last one of all."""
    if text.strip().startswith("[") and text.strip().endswith("]"):
        try:
            listed = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
        text = str(listed[0]) if isinstance(listed, list) and listed else text
    text = _TO_TWENTY.sub(lambda found: str(_VALUES[found[1].lower()]), _UNSEEN.sub("", text.strip()))
    if tagged := _TAGGED.search(text):
        return float(tagged[1])
    numbers = _NUMBERS.findall(behind_thought(text)) or _NUMBERS.findall(text)
    return float(numbers[-1]) if numbers else None


READERS: Mapping[str, Callable[[str], float | None]] = {
    "official": lambda text: _float(first_word(text)),
    "lmms-eval": _first_number,
    "vlmevalkit": _last_number,
}
"""Rules → how the number of a reply is found."""
