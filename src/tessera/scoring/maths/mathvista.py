"""MathVista: what an answer says without a judge, and whether it is right, in three harnesses."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tessera.scoring.choices.inferred import Inference
from tessera.scoring.settings import one_of
from tessera.scoring.texts.edits import edit_distance
from tessera.scoring.verdict import Reference, Scorer, Verdict

UNSURE: Mapping[str, Any] = MappingProxyType({"unsure": True})
"""Parts of a verdict that a judge may better."""
_LABEL = re.compile(r"(?:Final answer:|Answer:)\s*(.*)", re.IGNORECASE)
_QUOTED = re.compile(r'The answer is "(.*)"\.')
_LETTER = re.compile(r"\(([a-zA-Z])\)")
_MULTIPLE = "multi_choice"


@dataclass(frozen=True)
class Problem:
    """A question as MathVista's columns have it; choices are those of the options where there are some."""

    question_type: str
    answer_type: str
    choices: tuple[str, ...]
    precision: Any
    answer: str
    letter: str | None = None
    """of the right choice, where the data say it: several may have the same text"""

    @classmethod
    def of(cls, reference: Reference) -> Problem:
        """ValueError where the data do not say the type of the answer."""
        fields, choices = reference.fields, tuple(reference.options.values())
        answer_type = str(fields.get("answer_type", "text" if choices else ""))
        if not answer_type or not reference.answers:
            raise ValueError(
                "mathvista: a question needs an answer and columns `question_type` and `answer_type` "
                "(integer, float, list, text)"
            )
        kind = str(fields.get("question_type", _MULTIPLE if choices else "free_form"))
        letter = fields.get("answer_option")
        return cls(kind, answer_type, choices, fields.get("precision"), reference.answers[0], letter)


def mathvista_scorer(rules: str = "official") -> Scorer:
    """1 where the answer that is found, brought to the form of the type, is the right one.

    rules: official and lmms-eval take the nearest choice and round numbers; vlmevalkit wants a choice that
    can be inferred, or the bare number.
    """
    judged = _RULES[one_of("rules", rules, _RULES)]

    def score(prediction: str, reference: Reference, /) -> Verdict:
        return judged(prediction, Problem.of(reference))

    return score


def short_cut(prediction: str, problem: Problem) -> str | None:
    """The answer of a reply that is a choice, or a number of the asked type; None for any other."""
    if not prediction:
        return ""
    if problem.question_type == _MULTIPLE and prediction in problem.choices:
        return prediction
    number: Mapping[str, Callable[[str], float]] = {"integer": int, "float": float}
    try:
        return str(number[problem.answer_type](prediction))
    except (KeyError, ValueError):
        return None


def normalised(extraction: str, problem: Problem, rounded: Callable[[float, Any], float]) -> str | None:
    """The choice that is meant, an integer, or a rounded number, as text; None where there is no number."""
    if problem.question_type == _MULTIPLE:
        return _choice(extraction.strip(), problem.choices)
    try:
        if problem.answer_type == "integer":
            return str(int(float(extraction)))
        if problem.answer_type == "float":
            return str(rounded(float(extraction), problem.precision))
    except (ValueError, TypeError, OverflowError):
        return None
    return extraction


def _choice(extraction: str, choices: Sequence[str]) -> str | None:
    """By `(A)` anywhere, a bare capital, else the nearest text."""
    if found := _LETTER.search(extraction):
        extraction = found[1].upper()
    at = string.ascii_uppercase.find(extraction) if len(extraction) == 1 else -1
    if 0 <= at < len(choices):
        return choices[at]
    return min(choices, key=lambda choice: edit_distance(choice, extraction), default=None)


def _official(prediction: str, problem: Problem) -> Verdict:
    short = short_cut(prediction, problem)
    found = _LABEL.search(prediction) if short is None else None
    extraction = short if short is not None else found[1].strip() if found else prediction
    said = normalised(extraction, problem, _whole_places)
    return _verdict(
        said, said == problem.answer, short is None, "behind a label" if found else "as it stands"
    )


def _lmms_eval(prediction: str, problem: Problem) -> Verdict:
    prediction = prediction.strip()
    short = short_cut(prediction, problem)
    found = _QUOTED.search(prediction) if short is None else None
    extraction = short if short is not None else found[1] if found else prediction
    said = normalised(extraction, problem, round)
    right = str(said).strip() == problem.answer.strip()
    return _verdict(said, right, short is None and not found, "in quotes" if found else "as it stands")


def _vlmevalkit(prediction: str, problem: Problem) -> Verdict:
    if problem.question_type == _MULTIPLE:
        options = dict(zip(string.ascii_uppercase, problem.choices, strict=False))
        pick = Inference()(prediction, options)
        named = (letter for letter, text in options.items() if text == problem.answer)
        right = problem.letter or next(named, problem.answer)
        return _verdict(pick.letter, pick.letter == right, pick.letter is None, pick.why)
    number: Mapping[str, Callable[[str], float]] = {"integer": int, "float": float}
    kind = number.get(problem.answer_type)
    try:
        if kind and kind(prediction) == kind(problem.answer):
            return _verdict(prediction.strip(), True, False, "the bare number")
    except ValueError:
        pass
    if kind is None and problem.answer == str(None):  # the script compares with what it has not filled in
        return _verdict(prediction, True, False, "None")
    return _verdict(None, False, True, "no bare number" if kind else "lists are never right")


def _whole_places(value: float, precision: Any) -> float:
    return round(value, int(float(precision)))


def _verdict(said: str | None, right: bool, unsure: bool, why: str) -> Verdict:
    return Verdict(float(right), said, why, UNSURE if unsure else {})


_RULES: Mapping[str, Callable[[str, Problem], Verdict]] = MappingProxyType(
    {"official": _official, "vlmevalkit": _vlmevalkit, "lmms-eval": _lmms_eval}
)
