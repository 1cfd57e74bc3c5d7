"""MIRB: a rule for every task, four groups of tasks."""

import re
from collections.abc import Callable, Mapping

from tessera.scoring.aggregates import GroupMean, grouped
from tessera.scoring.choices.open_answers import is_right, said_in
from tessera.scoring.columns import column_of
from tessera.scoring.settings import one_of
from tessera.scoring.verdict import Reference, Verdict

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Knowledge": ("food", "sightseeing"),
    "Reasoning": ("codeu", "plot_code", "analogy", "3d_scene"),
    "Perception": ("image_jigsaw", "count", "attribute"),
    "Multi-Hop": ("visual_chain", "arxiv"),
}
NUMBERS = ("count", "visual_chain", "3d_scene", "image_needles")
"""Tasks that ask for a number, also with `_concat` behind the name."""
YES_NO = ("analogy", "attribute")
CONTAINED = ("sightseeing",)
_NUMBER_OF = {
    word: str(number)
    for words, start in (
        ("zero one two three four five six seven eight nine ten", 0),
        ("first second third fourth fifth sixth seventh eighth ninth tenth", 1),
    )
    for number, word in enumerate(words.split(), start)
}


def mirb(rules: str = "official", column: str = "task") -> Callable[[str, Reference], Verdict]:
    """Every task has its rule.

    rules: official (the first line of the reply, or its first sentence, by the rule of the task in `column`;
    tasks of no list ask for equality without case) or lmms-eval (letters A to E by `X.` at the start or
    equality, all else as MMMU's open answers).
    """
    if one_of("rules", rules, ("official", "lmms-eval")) == "lmms-eval":
        return _as_mmmu

    def score(prediction: str, reference: Reference, /) -> Verdict:
        task = column_of(reference, column).removesuffix("_concat")
        said = _first_part(prediction)
        if task in NUMBERS:
            said = _number_in(said)
        right = any(_right(task, said, answer) for answer in reference.answers)
        return Verdict(float(right), said, "right" if right else "none of the answers")

    return score


def mirb_means(column: str = "task") -> GroupMean:
    """Every task, the groups, and the mean of the groups, × 100."""
    return grouped(column, GROUPS, others=False)


def _as_mmmu(prediction: str, reference: Reference, /) -> Verdict:
    for answer in reference.answers:
        if answer in tuple("ABCDE"):
            letter = re.match(r"\s*([A-Z])\.", prediction)
            right = (letter[1] if letter else prediction) == answer
        else:
            right = is_right(said_in(prediction), [answer])
        if right:
            return Verdict(1.0, answer, "right")
    return Verdict(0.0, prediction, "none of the answers")


def _first_part(text: str) -> str:
    text = text.strip()
    end = text.find("\n")
    if end <= 0:
        end = text.find(".")
    return text[:end] if end > 0 else text


def _number_in(text: str) -> str:
    """The first run of digits, or the number that the whole text names; empty without either."""
    digits = re.search(r"\d+", text)
    return digits[0] if digits else _NUMBER_OF.get(text.lower(), "")


def _right(task: str, said: str, answer: str) -> bool:
    said, answer = said.lower(), answer.lower()
    if task in YES_NO or (task in CONTAINED and answer in ("yes", "no")):
        return answer in ("yes", "no") and ("yes" in said) == (answer == "yes")
    return answer in said if task in CONTAINED else said == answer
