"""The pairs of one question: every positive with every negative, but for those that a rule refuses."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from tessera.align.preferences.verdicts import ScoredResponse

Rule = Literal["correctness", "format"]
"""What the rejected response is: a wrong answer, or none that can be found."""
PART = "the right answer is part of the wrong one"
SAME = "both responses are the same text"
EMPTY = "a response is empty"
REPEATED = "the same text as another response"
MISSING = "a picture is missing"
NOT_DRAWN = "not drawn: the question has more pairs than are taken"
ALONE = {"positive": "no wrong response to pair it with", "negative": "no right response to pair it with"}
ALONE["format"] = ALONE["negative"]


@dataclass(frozen=True)
class Pair:
    """A right response and one that is not."""

    chosen: ScoredResponse
    rejected: ScoredResponse
    rule: Rule


@dataclass(frozen=True)
class RefusedPair:
    """Lines of responses that were not paired (chosen and rejected, or one alone), why, and the details."""

    lines: tuple[int, ...]
    why: str
    detail: str = ""


Refuse = Callable[[RefusedPair], object]


def build_pairs(
    group: Sequence[ScoredResponse], most: int, rng: random.Random, refuse: Refuse, as_published: bool = False
) -> list[Pair]:
    """Pairs of responses with one key, at most `most` of each rule, in the order of their lines.

    as_published: also refuse a format negative whose answer "None" holds the right one, such as "No".
    `refuse` hears of everything that is left out: repeated texts, responses without a partner, single pairs.
    """
    distinct = list(_distinct(group, refuse))
    positives = [one for one in distinct if one.verdict.kind == "positive"]
    found: list[Pair] = []
    for one in distinct:
        partners = any(
            (other.verdict.kind == "positive") != (one.verdict.kind == "positive") for other in distinct
        )
        if not partners:
            refuse(RefusedPair((one.response.line,), ALONE[one.verdict.kind]))
    for kind, rule in _RULES:
        negatives = [one for one in distinct if one.verdict.kind == kind]
        pairs = (Pair(chosen, rejected, rule) for chosen, rejected in product(positives, negatives))
        found += _drawn(_allowed(pairs, refuse, as_published), most, rng, refuse)
    return found


_RULES: tuple[tuple[str, Rule], ...] = (("negative", "correctness"), ("format", "format"))


def refusal(pair: Pair, as_published: bool = False) -> str | None:
    """Why a pair is none; None where it is one."""
    chosen, rejected = pair.chosen.response.text, pair.rejected.response.text
    if not chosen.strip() or not rejected.strip():
        return EMPTY
    if chosen == rejected:
        return SAME
    wrong = pair.rejected.verdict.answer if pair.rule == "correctness" else "None" if as_published else None
    if wrong is not None and pair.chosen.verdict.answer.lower() in wrong.lower():
        return PART
    return None


def _distinct(group: Sequence[ScoredResponse], refuse: Refuse) -> Iterator[ScoredResponse]:
    """Responses whose text did not occur before among those of their kind."""
    seen: dict[tuple[str, str], int] = {}
    for one in group:
        line = one.response.line
        if (first := seen.setdefault((one.verdict.kind, one.response.text), line)) == line:
            yield one
        else:
            refuse(RefusedPair((line,), REPEATED, f"line {first}"))


def _allowed(pairs: Iterator[Pair], refuse: Refuse, as_published: bool) -> Iterator[Pair]:
    for pair in pairs:
        if why := refusal(pair, as_published):
            refuse(_left_out(pair, why))
        else:
            yield pair


def _drawn(pairs: Iterator[Pair], most: int, rng: random.Random, refuse: Refuse) -> list[Pair]:
    """At most so many, each as likely as any other, without holding the rest (a reservoir)."""
    kept: list[Pair] = []
    for count, pair in enumerate(pairs):
        if count < most:
            kept.append(pair)
            continue
        place = rng.randrange(count + 1)
        if place < most:
            kept[place], pair = pair, kept[place]
        refuse(_left_out(pair, NOT_DRAWN))
    return sorted(kept, key=_lines)


def _lines(pair: Pair) -> tuple[int, int]:
    return pair.chosen.response.line, pair.rejected.response.line


def _left_out(pair: Pair, why: str) -> RefusedPair:
    return RefusedPair(_lines(pair), why)
