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
_MARKS = re.compile(r"[^\w\s]")
_OPTION = re.compile(r"\b([A-Z])\.\s+([^\n]*)")
"""A letter and a text, as a question has its options."""
_NO_DIGITS = str.maketrans("", "", string.digits)


def _bare(text: str) -> str:
    return text.strip().lower()


def _plain(text: str) -> str:
    return text


def _without_stops(text: str) -> str:
    return text.rstrip(".").lower()


def _words(text: str) -> str:
    return normalise_vqa(text, _WORDS)


def _one_line(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _no_stops(text: str) -> str:
    return text.strip().lower().replace(".", "")


HELD: Mapping[str, Change] = {
    "official": _words,
    "plain": _one_line,
    "vlmevalkit": _no_stops,
    "lmms-eval": _no_stops,
}
"""Rules → what is done to both sides before one must hold the other."""
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
    extract: str | None = None,
    pick: int = 0,
) -> Callable[[str, Reference], Verdict]:
    """Equality as lmms-eval's metric of that name.

    extract, pick: the reply is what a pattern finds, the first match (0) or the last (-1). ignore: patterns
    that are cut from both sides.
    """
    patterns = [_pattern("ignore", entry) for entry in names("ignore", ignore)]
    wanted = None if extract is None else _pattern("extract", extract)
    if pick not in (0, -1):
        raise ValueError(f"pick is {pick!r:.80}: give 0 for the first match or -1 for the last")
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

    return _any_equal(lambda text: change(_found(wanted, pick, text).strip()), change)


def contains(rules: str = "official") -> Callable[[str, Reference], Verdict]:
    """One of the answers stands in the prediction.

    rules: official (Tiny-LVLM: as whole words, both normalised as VQA does), plain (anywhere, without case,
    outer space and line breaks), or vlmevalkit and lmms-eval (MTVQA: anywhere, without case, outer space and
    full stops).
    """
    change = HELD[one_of("rules", rules, HELD)]
    found: Callable[[str, str], bool] = _has_words if rules == "official" else _has_text

    def score(prediction: str, reference: Reference, /) -> Verdict:
        said = change(prediction)
        hit = next((answer for answer in reference.answers if found(said, change(answer))), None)
        if hit is None:
            return Verdict(0.0, None, "none of the answers stands in it")
        return Verdict(1.0, hit, f"holds {hit[:60]!r}")

    return score


def crpe(rules: str = "vlmevalkit") -> Callable[[str, Reference], Verdict]:
    """CRPE. vlmevalkit: the first sign is that of the answer.

    A longer reply that begins with none of A to D must hold the answer's text, which is all behind its first
    four signs. lmms-eval: the letter of the first text of an option that the question has, else all of the
    reply, without case and punctuation.
    """
    if one_of("rules", rules, ("vlmevalkit", "lmms-eval")) == "lmms-eval":
        return _letter_of_text

    def score(prediction: str, reference: Reference, /) -> Verdict:
        (first, longer), letters = (prediction[:1], len(prediction) > 1), tuple("ABCD")
        for answer in reference.answers:
            if longer and not prediction.startswith(letters):
                right = answer[4:].lower() in prediction.lower()
            else:
                right = first == answer[:1] != ""
            if right:
                return Verdict(1.0, answer[:1], "right")
        return Verdict(0.0, first or None, "none of the answers")

    return score


def _letter_of_text(prediction: str, reference: Reference, /) -> Verdict:
    for tag in ("think", "thought"):
        prediction = re.sub(rf"<{tag}>.*?</{tag}>", "", prediction, flags=re.DOTALL).strip()
    tagged = re.search("<answer>(.*?)</answer>", prediction, re.DOTALL)
    said = _MARKS.sub("", tagged[1] if tagged else prediction).strip()
    letters = {text.strip(): letter for letter, text in _OPTION.findall(reference.question)}
    if letters and (found := re.search("|".join(map(re.escape, letters)), said)):
        said = letters[found[0]]
    bare = said.lower().translate(_NO_PUNCTUATION)
    right = bare in [answer.lower().translate(_NO_PUNCTUATION) for answer in reference.answers]
    return Verdict(float(right), said, "right" if right else "none of the answers")


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


def _found(pattern: re.Pattern[str] | None, pick: int, text: str) -> str:
    """The first group that holds something of the chosen match; `[invalid]` without a match."""
    if pattern is None:
        return text
    matches = [*pattern.finditer(text)]
    if not matches:
        return "[invalid]"
    return (
        next((group for group in matches[pick].groups() if group), "") if pattern.groups else matches[pick][0]
    )


def _pattern(name: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as fault:
        raise ValueError(f"{name} is {text!r:.80}: not a regular expression ({fault})") from None
