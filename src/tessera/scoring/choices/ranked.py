"""lmms-eval's rules for options: candidates ranked by how they are written, MMBench's and MVBench's."""

import re
from collections.abc import Iterator

from tessera.scoring.choices.pick import Options, Pick
from tessera.scoring.texts.vqa_words import RULES, one_line, without_marks

_DEFAULT = "ABCDEFGH"
_STRIPPED = (",", ".", "!", "?", ";", ":", "'", '"')
_PHRASES = (
    *("the answer is", "answer is", "the correct answer is", "correct answer is", "the best answer is"),
    *("best answer is", "the correct option is", "correct option is", "the best option is", "best option is"),
    *("the choice is", "choice is", "the correct choice is", "correct choice is", "i choose", "i select"),
    *("i pick", "my answer is", "my choice is", "옵션"),
    *("정답은", "답은", "답:", "答案是", "答案为", "选", "答えは"),
)
_WRITTEN: tuple[tuple[int, str, str], ...] = (
    (6, "({})", "in brackets"),
    (5, "{}.", "before a full stop"),
    (4, "{}:", "before a colon"),
    (3, "{})", "before a bracket"),
    (2, "{} ", "before a space"),
)
_START, _END, _PHRASE = 10, 9, 7
Candidate = tuple[int, int, str, str]
"""Rank, place, letter, why."""


def ranked(prediction: str, options: Options) -> Pick:
    """The letter written in the way of highest rank; of equals the last one.

    At the start, at the end, behind a phrase, `(A)`, `A.`, `A:`, `A)`, `A `, and as the last resort anywhere.
    Without options the letters are A to H.
    """
    text = prediction.strip()
    if not text:
        return Pick(None, "empty")
    for sign in _STRIPPED:
        text = text.strip(sign)
    text = f" {text} "
    letters = "".join(options) or _DEFAULT
    found = list(_candidates(text, letters)) or [
        (0, text.rfind(letter), letter, "anywhere") for letter in letters if letter in text
    ]
    if not found:
        return Pick(None, "no letter")
    _, _, letter, why = max(found, key=lambda each: each[:2])
    return Pick(letter, why)


def _candidates(text: str, letters: str) -> Iterator[Candidate]:
    for rank, form, why in _WRITTEN:
        for letter in letters:
            if form.format(letter) in text:
                yield rank, text.rfind(form.format(letter)), letter, why
    lowered = text.lower()
    for phrase in _PHRASES:
        at = lowered.find(phrase)
        for letter in letters if at >= 0 else "":
            if (place := text.find(letter, at + len(phrase))) >= 0:
                yield _PHRASE, place, letter, "behind a phrase"
    bare = text.strip()
    for letter in letters:
        if bare.startswith(letter) and not bare[1:2].isalpha():
            yield _START, 0, letter, "at the start"
        if bare.endswith(letter) and not bare[-2:-1].isalpha():
            yield _END, len(text) - 1, letter, "at the end"


_MARKED = ("{}.", "{},", "{}:", "{})", "{}).", "({})", "({}).", ":{}", ":{},", ":{}.", ":{})", ":{}).")
_MMBENCH_LETTERS = "ABCDE"


def mmbench(prediction: str, options: Options) -> Pick:
    """A word that is a letter A to E, or one with marks; else the option whose text occurs; else `ranked`.

    A lone A among four and more words may be an article: then only marks count. MMBench in lmms-eval, without
    a judge.
    """
    if lone := _lone_letter(prediction):
        return Pick(lone, "the only letter")
    answer = prediction.lower()
    texts = [letter for letter, text in options.items() if text.lower() in answer]
    return Pick(texts[0], "text of one option") if len(texts) == 1 else ranked(prediction, options)


def _lone_letter(prediction: str) -> str | None:
    words = prediction.split()
    if "Failed to obtain answer via API" in prediction:
        return None
    plain = [letter for letter in _MMBENCH_LETTERS if letter in words]
    if len(plain) == 1 and not ("A" in words and len(words) > 3):
        return plain[0]
    for form in _MARKED:
        marked = [letter for letter in _MMBENCH_LETTERS if form.format(letter) in words]
        if len(marked) == 1:
            return marked[0]
    return None


_LETTER_AND_TEXT = re.compile(r"([A-E])\.\s*.", re.IGNORECASE)
_LONE = re.compile(r"\b([A-E])\b", re.IGNORECASE)


def one_letter(prediction: str) -> str:
    """The letter before a full stop and a text, else the first lone A to E in any case, else what is left.

    MVBench in lmms-eval; an article `a` counts as A, as published.
    """
    if found := _LETTER_AND_TEXT.match(prediction.strip()):
        return found[1].upper()
    text = without_marks(one_line(prediction), RULES["organisers"])
    for sign in "'\")(":
        text = text.strip(sign)
    text = text.strip().lower()
    found = _LONE.search(text)
    return found[1].upper() if found else text
