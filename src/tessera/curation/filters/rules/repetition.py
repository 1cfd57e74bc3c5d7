"""Rules against repetition: what makes a model loop. Pure functions from a text to its strongest finding.

A few thousand such samples in the last stage are enough to bring about endless chains of thought
(docs/facts/cleaning.md, InternVL2.5 section 4.3). The official rules are not public; a docstring says where
levels are not ours.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from tessera.curation.filters.rules.finding import NOTHING, Finding
from tessera.curation.filters.rules.prose import BOX, blank, word_span, words

NGRAM = 10
FEWEST_NGRAMS = 20
FEWEST_LINES = 6
SHORT_LINE = 4
LOOP_GRAM = 3
FEWEST_TIMES = 3
SHORTEST_LOOP = 60

_ZEROS = re.compile(r"0(?:[\s,.;|]{0,2}0){7,}")
_SAME = re.compile(r"(\S)\1{7,}")
_WEIGHTS = dict.fromkeys("-=_*#.~|+·─━═┈…", 0.1)
"""Signs that draw rulers and leaders."""


def ngram_repetition(text: str) -> Finding:
    """Share of the 10-grams of words that stood in the text before, 0 to 1.

    Dropped from the ratio of the official (unused) helper on, docs/facts/cleaning.md. Evidence is the first
    repeat. Texts under 20 ten-grams (29 words) are too short to say. Counting every later occurrence, a loop
    of ten words that runs for ever comes near 1.
    """
    spoken = words(text)
    count = len(spoken) - NGRAM + 1
    if count < FEWEST_NGRAMS:
        return NOTHING
    repeats = count - len(set(_grams(spoken, NGRAM)))
    if not repeats:
        return NOTHING
    first = _first_repeat(_grams(spoken, NGRAM))
    return Finding(repeats / count, *word_span(text, first, first + NGRAM - 1))


def repeated_lines(text: str) -> Finding:
    """Share of the lines that stood in the text before, 0 to 1.

    Borderline from the limit of Gopher on (arXiv 2112.11446 table A1). Lines with fewer than 4 letters or
    digits (braces, rulers of tables) and texts under 6 other lines don't count.
    """
    if text.count("\n") < FEWEST_LINES - 1:
        return NOTHING
    seen: set[str] = set()
    position, lines, repeats = 0, 0, 0
    first: tuple[int, int] | None = None
    for line in blank(BOX, text).split("\n"):
        bare = line.strip()
        if sum(map(str.isalnum, bare)) >= SHORT_LINE:
            lines += 1
            if bare in seen:
                repeats += 1
                first = first or (position, position + len(line))
            seen.add(bare)
        position += len(line) + 1
    if first is None or lines < FEWEST_LINES:
        return NOTHING
    return Finding(repeats / lines, *first)


def phrase_loop(text: str) -> Finding:
    """How often a phrase of one or more words follows itself at once: "wait, no. wait, no. wait, no."

    Over at least 60 characters; the levels come from degenerate chains of thought. A loop shows as a constant
    distance to the last occurrence of the same three words: one pass.
    """
    spoken = words(text)
    if len(set(_grams(spoken, LOOP_GRAM))) >= len(spoken) - LOOP_GRAM:
        return NOTHING
    last: dict[tuple[str, ...], int] = {}
    most, first, final, distance, since = 0.0, 0, 0, 0, 0
    for at, gram in enumerate(_grams(spoken, LOOP_GRAM)):
        gap = at - last.get(gram, at)
        last[gram] = at
        if gap != distance:
            distance, since = gap, at
        # The run began at `since`, whose phrase first stood `distance` words earlier.
        begin, end = since - distance, at + LOOP_GRAM - 1
        if gap and end + 1 - begin > most * distance:
            times = (end + 1 - begin) / distance
            most, first, final = times, begin, end
    if most < FEWEST_TIMES:
        return NOTHING
    start, stop = word_span(text, first, final)
    return Finding(float(int(most)), start, stop) if stop - start >= SHORTEST_LOOP else NOTHING


def character_run(text: str) -> Finding:
    """Length of the longest run of one character, no space or zero; signs of rulers (-, .) a tenth."""
    runs = (match for match in _SAME.finditer(text) if match[1] != "0")
    return _longest((len(match[0]) * _WEIGHTS.get(match[1], 1.0), match) for match in runs)


def zero_run(text: str) -> Finding:
    """How many zeros stand in the longest run of zeros, also with commas, points or a space between them.

    InternVL2.5 names "very long runs of zeros" as a rule without a figure (docs/facts/cleaning.md); a binary
    or float number in an answer stays under 24.
    """
    return _longest((float(match[0].count("0")), match) for match in _ZEROS.finditer(text))


def _longest(runs: Iterable[tuple[float, re.Match[str]]]) -> Finding:
    """The first of the runs with the greatest value."""
    found = (Finding(value, *match.span()) for value, match in runs)
    return max(found, key=lambda finding: finding.value, default=NOTHING)


def _grams(spoken: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return zip(*(islice(spoken, start, None) for start in range(size)), strict=False)


def _first_repeat(grams: Iterator[tuple[str, ...]]) -> int:
    """Number of the first gram that was there before."""
    seen: set[tuple[str, ...]] = set()
    for at, gram in enumerate(grams):
        if gram in seen:
            return at
        seen.add(gram)
    return 0
