"""What an answer says: yes, no, or neither."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tessera.scoring.texts.vqa_words import RULES as MARKS
from tessera.scoring.texts.vqa_words import without_marks
from tessera.scoring.verdict import Reference

YES, NO, OTHER = "yes", "no", "other"
_CHINESE = re.compile("[\u4e00-\u9fa5]")
_BEGIN = 4
"""Signs of MME's answer in which a yes or no must stand."""


def official_mme(prediction: str) -> str:
    """Yes or no within the first four signs, after 不是, 是, 否, true and false have become words."""
    text = prediction.replace("\n", "").replace("不是", "No").replace("是", "Yes").replace("否", "No")
    return _at_begin(_CHINESE.sub("", text.lower().replace("true", YES).replace("false", NO)))


def lmms_eval_mme(prediction: str) -> str:
    """The same of the stripped answer without full stops; one sign y or n will do."""
    text = prediction.lower().strip().replace(".", "")
    if len(text) == 1:
        return {"y": YES, "n": NO}.get(text, OTHER)
    return _at_begin(text)


def official_pope(prediction: str) -> str:
    """No where `No`, `no` or `not` is a word before the first full stop; anything else is yes."""
    words = prediction.split(".")[0].replace(",", "").split(" ")
    return NO if {"No", "no", "not"} & set(words) else YES


def one_of_both(prediction: str) -> str:
    """The one of yes and no that is among the words, punctuation taken out as VQA does: VLMEvalKit's rule."""
    words = without_marks(prediction.lower(), MARKS["vlmevalkit"]).split()
    if (YES in words) == (NO in words):
        return OTHER
    return YES if YES in words else NO


def whole(prediction: str) -> str:
    """The whole answer, stripped, in any case: POPE in lmms-eval."""
    text = prediction.lower().strip()
    return text if text in (YES, NO) else OTHER


def _at_begin(text: str) -> str:
    begin = text[:_BEGIN]
    return YES if YES in begin else NO if NO in begin else OTHER


_ANSWERS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("yes", "1", "true"), YES) | dict.fromkeys(("no", "0", "false"), NO)
)


def right_answer(reference: Reference) -> str:
    """Yes or no of Yes, No, 1, 0, true or false in any case; ValueError for any other answer."""
    answer = reference.answers[0].strip().rstrip(".").lower() if reference.answers else ""
    if answer not in _ANSWERS:
        raise ValueError(f"answer: {answer[:40]!r} is neither yes nor no; the question needs one of both")
    return _ANSWERS[answer]


RULES: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "official-mme": official_mme,
        "official-pope": official_pope,
        "vlmevalkit": one_of_both,
        "lmms-eval-mme": lmms_eval_mme,
        "lmms-eval-pope": whole,
    }
)
