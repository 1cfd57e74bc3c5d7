"""Where two texts differ, word by word; Chinese characters are words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby

Marked = tuple[tuple[bool, str], ...]
"""Pieces of a text in order: whether the other text lacks it, and the piece."""
MOST_WORDS = 1500
"""Words between the same beginning and the same end that are compared; time grows with their product."""
_WORD = re.compile(r"[㐀-鿿]|[^\W㐀-鿿]+|\s+|[^\w\s]")


def mark_difference(one: str, two: str) -> tuple[Marked, Marked]:
    """Both texts in pieces, those marked that the other one lacks.

    >>> mark_difference("2 + 3 = 5", "2 + 3 = 6")[0]
    ((False, '2 + 3 = '), (True, '5'))
    """
    words = _WORD.findall(one), _WORD.findall(two)
    shortest = min(map(len, words))
    begin = _alike(*words, shortest)
    end = _alike(words[0][::-1], words[1][::-1], shortest - begin)
    middles = [listed[begin : len(listed) - end] for listed in words]
    marks = _marks(*middles)
    head, tail = [(False, w) for w in words[0][:begin]], [(False, w) for w in words[0][len(words[0]) - end :]]
    first, second = (
        tuple(_joined([*head, *zip(m, middle, strict=True), *tail]))
        for m, middle in zip(marks, middles, strict=True)
    )
    return first, second


def _alike(one: Sequence[str], two: Sequence[str], most: int) -> int:
    """How many words both begin with."""
    return next((at for at in range(most) if one[at] != two[at]), most)


def _marks(one: Sequence[str], two: Sequence[str]) -> tuple[list[bool], list[bool]]:
    """For every word of both whether the other lacks it; all of them where there are too many."""
    marks = [True] * len(one), [True] * len(two)
    if max(len(one), len(two)) <= MOST_WORDS:
        for block in SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks():
            for listed, start in zip(marks, (block.a, block.b), strict=True):
                listed[start : start + block.size] = [False] * block.size
    return marks


def _joined(words: Sequence[tuple[bool, str]]) -> Iterator[tuple[bool, str]]:
    for marked, run in groupby(words, key=lambda word: word[0]):
        yield marked, "".join(text for _, text in run)
