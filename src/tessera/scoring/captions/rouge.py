"""ROUGE-L: the longest words in common order."""

from collections.abc import Sequence

_BETA = 1.2


def rouge_l(caption: str, references: Sequence[str]) -> float:
    """F measure (β 1.2) of the best precision and the best recall over the references, 0..1.

    Texts are divided at single spaces, as pycocoevalcap does: two of them have an empty word between them.
    """
    words = caption.split(" ")
    found = [(common_length(words, text.split(" ")), len(text.split(" "))) for text in references]
    precision = max(length / len(words) for length, _ in found)
    recall = max(length / count for length, count in found)
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def common_length(one: Sequence[str], two: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bit vectors (Hyyrö 2004).

    >>> common_length("a b c d".split(), "b x d".split())
    2
    """
    places: dict[str, int] = {}
    for at, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << at
    everywhere = (1 << len(one)) - 1
    row = everywhere
    for word in two:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & everywhere
    return len(one) - row.bit_count()
