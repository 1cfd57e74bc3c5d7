"""Rules that take the first capital A to D or E after the usual words before an answer are removed."""

import re
from collections.abc import Sequence

from tessera.scoring.choices.pick import Options, Pick, Rule

_MOST_WORDS = 10
_FIRST = ("The best answer is", "The correct answer is", "The answer is", "The answer")
_JOINED = "The best option isThe correct option is"
"""A comma that is missing in two published lists makes one phrase of two."""
_RIGHT = (*_FIRST, "The best option is", "The correct option is", "Best answer:", "Best option:")
_OFFICIAL = (*_FIRST, _JOINED, "Best answer:", "Best option:")
_VIDEO = (*_FIRST, _JOINED, "Best answer:Best option:", "Answer:", "Option:")
_IN_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def _without(prediction: str, phrases: Sequence[str]) -> str:
    text = prediction.strip()
    for phrase in phrases:
        text = text.replace(phrase, "")
    return text


def _within(prediction: str, phrases: Sequence[str], choices: Sequence[tuple[str, str]]) -> Pick:
    """The first capital A to E; else the first choice that contains the short answer, in any case.

    An empty answer is contained in every choice: it counts as the first, as published.
    """
    text = _without(prediction, phrases)
    if found := re.search("[ABCDE]", text):
        return Pick(found[0], "first capital")
    if len(text.split()) > _MOST_WORDS:
        return Pick(None, "many words, no capital")
    for letter, choice in choices:
        if text.lower() in choice.lower():
            return Pick(letter, "within an option")
    return Pick(None, "no capital, within no option")


_LETTERS = [(letter, f"({letter})") for letter in "ABCDE"]


def official_real_world(prediction: str, options: Options) -> Pick:
    """MME-RealWorld in the official harness: with the joined phrase, and the options' texts."""
    choices = [
        (key, text if text.startswith(f"({key})") else f"({key}) {text}") for key, text in options.items()
    ]
    return _within(prediction, _OFFICIAL, choices or _LETTERS)


def real_world(prediction: str, options: Options) -> Pick:
    """MME-RealWorld in lmms-eval: all phrases, and the bare letters."""
    return _within(prediction, _RIGHT, _LETTERS)


def tagged_real_world(prediction: str, options: Options) -> Pick:
    """MME-RealWorld in VLMEvalKit: what stands in `<answer>`, in capitals, where there is such a part."""
    found = _IN_TAG.search(prediction)
    return real_world(found[1].strip().upper() if found else prediction, options)


def drawing(prediction: str, options: Options) -> Pick:
    """LongVideoBench in lmms-eval: the peer draws a letter where none is found."""
    found = re.search("[ABCDE]", _without(prediction, _RIGHT))
    return Pick(found[0], "first capital") if found else Pick(None, "no capital", tuple(options))


def of_video(letters: str, otherwise: Rule) -> Rule:
    """Video-MME (A to D) and LongVideoBench (A to E) in VLMEvalKit: first capital, then the general rule."""

    def rule(prediction: str, options: Options) -> Pick:
        found = re.search(f"[{letters}]", _without(prediction, _VIDEO))
        return Pick(found[0], "first capital") if found else otherwise(prediction, options)

    return rule
