"""MathVision and MathVerse: a letter where there are options, else an answer that is equal by value."""

from __future__ import annotations

from tessera.scoring.choices.inferred import Inference
from tessera.scoring.choices.pick import Options
from tessera.scoring.maths.mathvista import UNSURE
from tessera.scoring.maths.standard import standard_scorer
from tessera.scoring.maths.values import same_value
from tessera.scoring.settings import one_of
from tessera.scoring.thoughts import after_label, in_box
from tessera.scoring.verdict import Reference, Scorer, Verdict

_ANY: Options = dict.fromkeys("ABCDE", "\x00")
"""Options whose texts stand in the question: letters only."""


def mathvision_scorer(rules: str = "vlmevalkit") -> Scorer:
    """With options the letter that VLMEvalKit infers; without, the whole answer by value (`same_value`).

    Where neither is found the harness asks a judge for the answer: here the box and what follows `Answer:`
    are tried, and the part `unsure` says so. rules: lmms-eval is the benchmark's own script (`standard`).
    """
    if one_of("rules", rules, ("vlmevalkit", "lmms-eval")) == "lmms-eval":
        return standard_scorer()

    def score(prediction: str, reference: Reference, /) -> Verdict:
        if reference.options:
            return _by_letter(prediction, reference, reference.options)
        return _by_value(prediction, reference)

    return score


def mathverse_scorer(rules: str = "vlmevalkit") -> Scorer:
    """The stripped answer is the right one; else, where the harness asks a judge, a letter or a value."""
    one_of("rules", rules, ("vlmevalkit",))

    def score(prediction: str, reference: Reference, /) -> Verdict:
        if prediction.strip() in [answer.strip() for answer in reference.answers]:
            return Verdict(1.0, prediction.strip(), "the same text")
        letters = all(len(answer) == 1 and answer in _ANY for answer in reference.answers)
        if letters:
            found = _by_letter(_inner(prediction), reference, reference.options or _ANY)
            return Verdict(found.score, found.extracted, found.why, UNSURE)
        return _by_value(prediction, reference)

    return score


def _by_letter(prediction: str, reference: Reference, options: Options) -> Verdict:
    pick = Inference()(prediction, options)
    if pick.letter is None:
        return Verdict(0.0, None, pick.why, UNSURE)
    right = any(same_value(pick.letter, answer) for answer in reference.answers)
    return Verdict(float(right), pick.letter, pick.why)


def _by_value(prediction: str, reference: Reference) -> Verdict:
    if any(same_value(prediction, answer) for answer in reference.answers):
        return Verdict(1.0, prediction.strip(), "the whole answer, equal by value")
    said = _inner(prediction)
    right = any(same_value(said, answer) for answer in reference.answers)
    return Verdict(float(right), said, "announced, equal by value" if right else "not equal", UNSURE)


def _inner(prediction: str) -> str:
    """In a box, else behind a label; outer dollars and full stops removed."""
    box = in_box(prediction)
    return (box if box != prediction else after_label(prediction)).strip().strip("$").rstrip(".").strip()
