"""Right or wrong by several modes: the best of them must exceed a threshold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tessera.scoring.reasoned.expression import expression_score
from tessera.scoring.reasoned.measures import (
    anls_score,
    choice_score,
    edit_share,
    number_score,
    relaxed_score,
)
from tessera.scoring.reasoned.package import installed, require_installed, verify_score
from tessera.scoring.reasoned.vqa import same_signs, vqa_score
from tessera.scoring.texts.vqa_words import normalise_vqa

THRESHOLD = 0.9
EQUAL = "equal"
"""Stands for a mode where prediction and target are the same but for case."""
_FRACTION = re.compile(r"\s*\d+\s*/\s*\d+\s*")


def latex_score(prediction: str, target: str) -> float:
    """`expression_score` where one of both has a backslash or is a fraction `a/b`, else 0."""
    asks = any("\\" in text or _FRACTION.fullmatch(text) for text in (prediction, target))
    return expression_score(prediction, target) if asks else 0.0


def single_vqa_score(prediction: str, target: str) -> float:
    """VQA accuracy against one reference; 0 where numbers differ in signs, which normalisation drops."""
    return vqa_score(prediction, [target]) if same_signs(prediction, target) else 0.0


Measure = Callable[[str, str], float]
"""Prediction and target to 0..1."""
MODES: dict[str, Measure] = {
    "vqa": single_vqa_score,
    "relaxed": relaxed_score,
    "anls": anls_score,
    "mc": choice_score,
    "math": number_score,
    "latex": latex_score,
    "expression": expression_score,
    "math_verify": verify_score,
}
"""Every mode, the quick ones first. Own rules (`expression`) stand in for math-verify where it is missing."""


FAULTY: Mapping[str, Measure] = MODES | {
    "anls": edit_share,
    "vqa": lambda prediction, target: vqa_score(prediction, [target]),
    "mc": lambda prediction, target: choice_score(prediction, target, decimals=True),
}
"""Modes with the faults of the published script, in its order (`PUBLISHED_ORDER`)."""
PUBLISHED_ORDER = ("expression", "math_verify", "vqa", "relaxed", "anls", "mc", "math", "latex")


@dataclass(frozen=True)
class Judgement:
    """Whether an answer is right, and by which mode; of a wrong one, the mode that came nearest."""

    right: bool
    score: float
    mode: str


@dataclass(frozen=True)
class AnswerJudge:
    """Modes, the threshold that the best must exceed, and whether to repeat the published script's faults.

    ValueError for modes that are unknown, none, or need a package that is missing.
    """

    modes: tuple[str, ...]
    threshold: float = THRESHOLD
    as_published: bool = False

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.modes) - set(MODES)):
            raise ValueError(f"mode {unknown[0][:80]!r} is unknown; give some of {', '.join(MODES)}")
        if not self.modes:
            raise ValueError(f"modes are empty; give some of {', '.join(MODES)}")
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold {self.threshold}: give a number from 0 to below 1")
        if "math_verify" in self.modes:
            require_installed()

    def judge(self, prediction: str, target: str) -> Judgement:
        """AnswerJudge an answer. Modes are tried until one exceeds the threshold."""
        if prediction.lower() == target.lower():
            return Judgement(True, 1.0, EQUAL)
        if self.as_published:
            return self._with_faults(prediction, target)
        best = Judgement(False, 0.0, self.modes[0])
        for mode in sorted(self.modes, key=list(MODES).index):
            if (score := MODES[mode](prediction, target)) > best.score:
                best = Judgement(score > self.threshold, score, mode)
            if best.right:
                break
        return best

    def _with_faults(self, prediction: str, target: str) -> Judgement:
        """`FAULTY` modes, and what VQA empties is wrong whatever math-verify said."""
        score, nearest = 0.0, self.modes[0]
        for mode in (mode for mode in PUBLISHED_ORDER if mode in self.modes):
            if (value := FAULTY[mode](prediction, target)) > score:
                score, nearest = value, mode
            if mode == "vqa" and not (normalise_vqa(prediction) and normalise_vqa(target)):
                score = 0.0
        return Judgement(score > self.threshold, score, nearest)


def available(modes: Sequence[str]) -> tuple[str, ...]:
    """The same modes; `expression` in place of `math_verify` where that package is missing."""
    return tuple("expression" if m == "math_verify" and not installed() else m for m in modes)
