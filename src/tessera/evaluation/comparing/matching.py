"""Which answers of two runs are to the same question, and which are to none of the other's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tessera.evaluation.comparing.stored import StoredAnswer
from tessera.runtime.shown import shown

Pair = tuple[StoredAnswer, StoredAnswer]
NAMED = 10
"""Questions that are named in a message; all are counted."""


@dataclass(frozen=True)
class Unmatched:
    """Questions that are not compared, by index: in one run alone, or with another text or right answer."""

    only_one: Sequence[str] = ()
    only_two: Sequence[str] = ()
    altered: Sequence[str] = ()

    def told(self) -> list[str]:
        """Lines for people; none where all questions are the same."""
        said = {"in the first run alone": self.only_one, "in the second run alone": self.only_two}
        said["with another text or right answer"] = self.altered
        return [f"{len(names):,} {where}: {few(names)}" for where, names in said.items() if names]


def match(one: Sequence[StoredAnswer], two: Sequence[StoredAnswer]) -> tuple[list[Pair], Unmatched, bool]:
    """Pairs of answers to the same question in the first run's order, the others, and whether words decided.

    Words decide where less than half would be paired by index. A question whose words are there several times
    is paired in order, or left out where the runs have it differently often.
    """
    names = [[answer.index for answer in run] for run in (one, two)]
    pairs, unmatched = _paired(one, two, names[0], names[1])
    if 2 * len(pairs) < min(len(one), len(two)):
        by_words, others = _paired(one, two, _numbered(one, two), _numbered(two, one))
        if len(by_words) > len(pairs):
            return by_words, others, True
    return pairs, unmatched, False


def _numbered(run: Sequence[StoredAnswer], other: Sequence[StoredAnswer]) -> list[object]:
    """Words of each question, how often they are there so far and in all: equal for the same question.

    Those that the other run has differently often find no equal.
    """
    words = [_asked(answer) for answer in run]
    often, so_far = Counter(words), Counter[object]()
    known, found = Counter(map(_asked, other)), list[object]()
    for each in words:
        so_far[each] += 1
        found.append((each, so_far[each]) if often[each] == known[each] else object())
    return found


def _paired(
    one: Sequence[StoredAnswer],
    two: Sequence[StoredAnswer],
    names: Sequence[object],
    others: Sequence[object],
) -> tuple[list[Pair], Unmatched]:
    """Answers with equal names; pairs that ask another thing are altered."""
    first, second = dict(zip(names, one, strict=True)), dict(zip(others, two, strict=True))
    both = [(answer, second[name]) for name, answer in first.items() if name in second]
    same = [_asked(before) == _asked(after) for before, after in both]
    return [pair for pair, alike in zip(both, same, strict=True) if alike], Unmatched(
        [answer.index for name, answer in first.items() if name not in second],
        [answer.index for name, answer in second.items() if name not in first],
        [before.index for (before, _), alike in zip(both, same, strict=True) if not alike],
    )


def _asked(answer: StoredAnswer) -> tuple[object, ...]:
    """What makes a question the same: words and right answers; line breaks and spaces don't count."""
    return " ".join(answer.question.split()), answer.answers, tuple(answer.options.items())


def few(names: Sequence[str]) -> str:
    """The first of them in a line."""
    more = ", …" if len(names) > NAMED else ""
    return ", ".join(shown(name, bare=True) for name in names[:NAMED]) + more
