"""The right answer written as the data set writes it, where a right response says more (`--answer-fix`)."""

from __future__ import annotations

from dataclasses import replace

from tessera.align.preferences.verdicts import ScoredResponse

VERSIONS = ("en", "zh")
"""Prompts whose answers stand in a line of their own."""
_LETTERS = "ABCDEFGHIJKLMN"


def fix_answer(scored: ScoredResponse) -> ScoredResponse:
    """A positive whose answer holds that of the data set, with the latter in its place, and without `**`.

    Published for all responses; here for right ones alone: it would write right answers into wrong responses.

    A positive "Because of that.\\n\\n**Final answer: B. cat**" to "B" ends in "Final answer: B".
    """
    response, verdict = scored.response, scored.verdict
    if verdict.kind != "positive" or response.version not in VERSIONS or not verdict.answer:
        return scored
    text = response.text
    if _holds(verdict.answer, response.target):
        before, _, after = text.rpartition(verdict.answer)
        text = f"{before}{response.target}{after}".strip().strip("*").strip()
    lines = text.split("\n")
    lines[-1] = lines[-1].replace("**Final", "Final")
    return replace(scored, response=replace(response, text="\n".join(lines)))


def _holds(answer: str, target: str) -> bool:
    """Whether an answer holds the target; of an option's letter it is the first sign that counts."""
    letter = target.upper()
    if len(letter) == 1 and letter in _LETTERS:
        bare = answer.strip().strip("*").strip().upper()
        return bare.startswith(f"({letter})") or (bare[:1] == letter and not bare[1:2].isalpha())
    plain, meant = (text.lower().strip(".").replace(",", "") for text in (answer, target))
    return target.lower() in answer.lower() or meant in plain
