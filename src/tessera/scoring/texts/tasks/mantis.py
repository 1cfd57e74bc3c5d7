"""Mantis-Eval: letters or texts of options, and short answers, by the question's type."""

import re
from collections.abc import Callable

from tessera.scoring.settings import column_of, one_of
from tessera.scoring.verdict import Reference, Verdict

_CHOICE = "multi-choice"
_ANNOUNCED = ("final answer:", "the answer is", "answer:")


def mantis(rules: str = "official", column: str = "question_type") -> Callable[[str, Reference], Verdict]:
    """Options where the type is `multi-choice`, else equality without case.

    rules: official (the reply is the letter, also in brackets, or the text of the right option) or lmms-eval
    (what stands behind an announcement; its first letter names an option, or the reply is its text).
    """
    one_of("rules", rules, ("official", "lmms-eval"))
    judge = _official if rules == "official" else _lmms_eval

    def score(prediction: str, reference: Reference, /) -> Verdict:
        choice = column_of(reference, column) == _CHOICE
        said, right = "", False
        for answer in reference.answers:
            said, right = judge(prediction, answer, reference, choice)
            if right:
                break
        return Verdict(float(right), said, "right" if right else "none of the answers")

    return score


def _official(reply: str, answer: str, reference: Reference, choice: bool) -> tuple[str, bool]:
    if not choice:
        return reply, reply.lower() == answer.lower()
    said = reply[1:-1] if len(reply) == 3 and reply.startswith("(") and reply.endswith(")") else reply
    return said, said in (answer, reference.options.get(answer))


def _lmms_eval(reply: str, answer: str, reference: Reference, choice: bool) -> tuple[str, bool]:
    said, answer = _behind_announcement(reply), answer.strip("()\n ")
    if not choice:
        return said, said.lower() == answer.lower()
    answer = next((sign for sign in answer if sign.isalpha()), answer) if len(answer) != 1 else answer
    letter = (
        said[8] if re.match("Answer: [A-Z]", said) else next((s.upper() for s in said if s.isalpha()), "")
    )
    if len(letter) == 1 and ord(letter) - ord("A") < len(reference.options):
        return letter, letter == answer.upper()
    text = reference.options.get(answer.upper())
    if text is None:
        return reply, False
    for head in (f"{answer}.", f"{answer}:", f"({answer})"):
        if text.startswith(head):
            return reply, reply.strip() == text.removeprefix(head).strip()
    return reply, reply.strip() == text.strip()


def _behind_announcement(reply: str) -> str:
    for words in _ANNOUNCED:
        at = reply.lower().find(words)
        if at >= 0:
            return reply[at + len(words) :].strip()
    return reply
