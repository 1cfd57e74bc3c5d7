"""Replies that are empty, cut off, repeat themselves, or from which no answer could be taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tessera.curation.filters.rules.table import TEXT_RULES
from tessera.scoring.ratio import Ratio
from tessera.scoring.verdict import Graded

LOOPS = ("phrase_loop", "character_run", "zero_run", "repeated_lines", "ngram_repetition")
"""Rules of the data filters (docs/data_filter.md); a reply that they would drop repeats itself."""
EMPTY, CUT_OFF, REPEATED, UNPARSED = "empty", "cut off", "repeated text", "no answer found"


@dataclass(frozen=True)
class ReplyFaults:
    """Shares of faulty replies in percent. cut_off: indexes of those that reached the most tokens."""

    cut_off: frozenset[str] = frozenset()

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        """By the names of the faults."""
        return {name: ratio.value for name, ratio in self.ratios(graded).items()}

    def ratios(self, graded: Sequence[Graded], /) -> Mapping[str, Ratio]:
        """The same as ratios."""
        every = [1.0] * len(graded)
        found = [self.faults(one) for one in graded]
        names = (UNPARSED, EMPTY, CUT_OFF, REPEATED)
        return {name: Ratio([float(name in faults) for faults in found], every) for name in names}

    def faults(self, one: Graded) -> tuple[str, ...]:
        """Of one reply; an empty one has no other."""
        if not one.prediction.strip():
            return (EMPTY,) if one.verdict.extracted else (EMPTY, UNPARSED)
        held = {
            UNPARSED: one.verdict.extracted is None,
            CUT_OFF: one.index in self.cut_off,
            REPEATED: repeats_itself(one.prediction),
        }
        return tuple(name for name, holds in held.items() if holds)


@lru_cache(maxsize=4096)
def repeats_itself(text: str) -> bool:
    """Whether a reply runs in a loop, by the levels at which data filters drop a text."""
    return any(TEXT_RULES[name].levels.verdict(TEXT_RULES[name].find(text).value) == "drop" for name in LOOPS)
