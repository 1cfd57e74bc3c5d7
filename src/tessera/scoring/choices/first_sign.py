"""Rules that look at the first signs of an answer: the official harness, and five of lmms-eval's tasks."""

import re
import string

from tessera.scoring.choices.pick import Options, Pick, capital

_NOTHING = "nothing found: the text itself"
_LETTER_AND_STOP = re.compile(r"\s*([A-Z])\.")
_FIRST_LETTER = re.compile(r"[(\s]*([A-Z])", re.IGNORECASE)
_BARE = str.maketrans("", "", string.punctuation)


def official(prediction: str, options: Options) -> Pick:
    """One sign is itself; then the first sign where it is a letter; then the first option whose text occurs.

    Anything else stands for itself, and is wrong. So does an empty answer, for which the script breaks off.
    """
    text = prediction.strip()
    if len(text) < 2:
        return Pick(text, "one sign" if text else "empty")
    if text[:1] in options:
        return Pick(text[0], "begins with a letter")
    for letter, option in options.items():
        if option in text:
            return Pick(letter, "text of an option")
    return Pick(text, _NOTHING)


def science_qa(prediction: str, options: Options) -> Pick:
    """`official`, then `X.` and `(X)` with any sign X: they count for letters that are no option."""
    pick = official(prediction, options)
    text = pick.letter or ""
    if pick.why != _NOTHING or len(text) < 2:
        return pick
    if text[1] == ".":
        return Pick(text[0], "sign before a full stop")
    if text[0] == "(" and text[2:3] == ")":
        return Pick(text[1], "sign in brackets")
    return pick


def seed_bench(prediction: str, options: Options) -> Pick:
    """`official`, then the first sign of what that gave."""
    pick = official(prediction, options)
    return Pick((pick.letter or "")[:1] or None, pick.why if len(pick.letter or "") == 1 else "first sign")


def first_sign(prediction: str, options: Options) -> Pick:
    """The first sign in any case: SEED-Bench in lmms-eval."""
    text = prediction.strip()[:1]
    return Pick(capital(text).strip() or None, "first sign")


def letter_or_stop(prediction: str, options: Options) -> Pick:
    """The whole answer in any case, or a capital before a full stop: ScienceQA in lmms-eval."""
    text = prediction.strip()
    if len(text) > 1 and text[0].isupper() and text[1] == ".":
        return Pick(capital(text[0]), "letter before a full stop")
    return Pick(capital(text) or None, "whole answer")


def letter_line(prediction: str, options: Options) -> Pick:
    """A capital before a full stop, else the answer without case and punctuation: AI2D in lmms-eval."""
    found = _LETTER_AND_STOP.match(prediction)
    text = (found[1] if found else prediction).translate(_BARE)
    return Pick(capital(text) or None, "letter before a full stop" if found else "whole answer")


def letter_or_all(prediction: str, options: Options) -> Pick:
    """A capital before a full stop, else the whole answer in any case: MuirBench in lmms-eval."""
    found = _LETTER_AND_STOP.match(prediction)
    text = (found[1] if found else prediction).lower().strip()
    return Pick(capital(text) or None, "letter before a full stop" if found else "whole answer")


def first_letter(prediction: str, options: Options) -> Pick:
    """The first letter behind brackets and spaces, also that of a word, in any case: BLINK in lmms-eval."""
    found = _FIRST_LETTER.match(prediction.strip())
    return Pick(found[1].upper() if found else None, "first letter" if found else "no letter in front")
