"""Equality and containment of short answers."""

import re
import string
from collections.abc import Callable, Mapping

from tessera.scoring.settings import flag, names, one_of
from tessera.scoring.texts.vqa_words import RULES as VQA_RULES
from tessera.scoring.texts.vqa_words import normalise_vqa
from tessera.scoring.verdict import Reference, Verdict

Change = Callable[[str], str]
_WORDS = VQA_RULES["organisers"]
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NO_DIGITS = str.maketrans("", "", string.digits)


def _bare(text: str) -> str:
    return text.strip().lower()


def _plain(text: str) -> str:
    return text


def _without_stops(text: str) -> str:
    return text.rstrip(".").lower()


EQUAL: Mapping[str, tuple[Change, Change]] = {
    "official": (_bare, _bare),
    "vlmevalkit": (_bare, _bare),
    "gqa": (_without_stops, _plain),
}
"""Rules → what is done to the prediction, and to each answer, before both must be the same."""


def exact(rules: str = "official") -> Callable[[str, Reference], Verdict]:
    """The same as one of the answers.

    rules: official (no outer space, no case), vlmevalkit (the same), or gqa (full stops go from the end of
    the prediction, the answer is taken as it stands).
    """
    of_prediction, of_answer = EQUAL[one_of("rules", rules, EQUAL)]
    return _any_equal(of_prediction, of_answer)


def exact_match(
    ignore_case: bool = True,
    ignore_punctuation: bool = False,
    ignore_numbers: bool = False,
    ignore: object = (),
) -> Callable[[str, Reference], Verdict]:
    """Equality as lmms-eval's metric of that name. ignore: patterns that are cut from both sides first."""
    patterns = [_pattern(entry) for entry in names("ignore", ignore)]
    case, marks, digits = (
        flag(name, value)
        for name, value in (
            ("ignore_case", ignore_case),
            ("ignore_punctuation", ignore_punctuation),
            ("ignore_numbers", ignore_numbers),
        )
    )

    def change(text: str) -> str:
        for pattern in patterns:
            text = pattern.sub("", text)
        text = text.lower()[: len(text)] if case else text  # numpy keeps the length: İ loses its dot
        text = text.translate(_NO_PUNCTUATION) if marks else text
        return text.translate(_NO_DIGITS) if digits else text

    return _any_equal(lambda text: change(text.strip()), change)


def contains(rules: str = "official") -> Callable[[str, Reference], Verdict]:
    """One of the answers stands in the prediction.

    rules: official (Tiny-LVLM: as whole words, both normalised as VQA does) or plain (anywhere, without case,
    outer space and line breaks).
    """
    one_of("rules", rules, ("official", "plain"))
    found: Callable[[str, str], bool] = _has_words if rules == "official" else _has_text
    change: Change = (lambda text: normalise_vqa(text, _WORDS)) if rules == "official" else _one_line

    def score(prediction: str, reference: Reference, /) -> Verdict:
        said = change(prediction)
        hit = next((answer for answer in reference.answers if found(said, change(answer))), None)
        if hit is None:
            return Verdict(0.0, None, "none of the answers stands in it")
        return Verdict(1.0, hit, f"holds {hit[:60]!r}")

    return score


def _any_equal(of_prediction: Change, of_answer: Change) -> Callable[[str, Reference], Verdict]:
    def score(prediction: str, reference: Reference, /) -> Verdict:
        said = of_prediction(prediction)
        same = next((answer for answer in reference.answers if of_answer(answer) == said), None)
        if same is None:
            return Verdict(0.0, said, "none of the answers")
        return Verdict(1.0, said, f"is {same[:60]!r}")

    return score


def _has_words(said: str, answer: str) -> bool:
    return re.search(rf"\b{re.escape(answer)}\b", said) is not None


def _has_text(said: str, answer: str) -> bool:
    return answer in said


def _one_line(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as fault:
        raise ValueError(f"ignore is {text!r:.80}: not a regular expression ({fault})") from None
