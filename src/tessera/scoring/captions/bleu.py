"""BLEU of a corpus with several references, 1 to 4 words long."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain

ORDERS = 4
_SMALL, _TINY = 1e-9, 1e-15
"""pycocoevalcap's, so that nothing is divided by zero and figures agree to the last digit."""


def ngrams(words: Sequence[str], orders: int = ORDERS) -> Counter[tuple[str, ...]]:
    """How often every run of up to `orders` words stands there, shorter runs first."""
    spans = (zip(*(words[start:] for start in range(size)), strict=False) for size in range(1, orders + 1))
    return Counter(chain.from_iterable(spans))


def bleu(captions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """BLEU-1 to BLEU-4, 0..1, of captions with their references; texts are divided at white space.

    The brevity penalty takes the reference whose length is closest, the shorter one of two.
    """
    said_length = meant_length = 0
    right, counted = [0] * ORDERS, [0] * ORDERS
    for caption, texts in zip(captions, references, strict=True):
        words, meant = caption.split(), [text.split() for text in texts]
        said_length += len(words)
        meant_length += min((abs(len(one) - len(words)), len(one)) for one in meant)[1]
        most: Counter[tuple[str, ...]] = Counter()
        for one in meant:
            most |= ngrams(one)
        for run, count in ngrams(words).items():
            right[len(run) - 1] += min(count, most[run])
        for order in range(ORDERS):
            counted[order] += max(0, len(words) - order)
    return _joined(right, counted, (said_length + _TINY) / (meant_length + _SMALL))


def _joined(right: Sequence[int], counted: Sequence[int], ratio: float) -> list[float]:
    figures, product = [], 1.0
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    for order, (hits, runs) in enumerate(zip(right, counted, strict=True), 1):
        product *= (hits + _TINY) / (runs + _SMALL)
        figures.append(product ** (1 / order) * penalty)
    return figures
