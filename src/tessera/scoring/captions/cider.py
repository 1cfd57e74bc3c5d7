"""CIDEr: words and runs of words weighed by how few pictures have them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tessera.scoring.captions.bleu import ORDERS, ngrams

Runs = Mapping[tuple[str, ...], float]
_SIGMA = 6.0


@dataclass(frozen=True)
class _Weighed:
    """Weights of the runs of each length, their norms, and the length in pairs of words."""

    weights: Sequence[dict[tuple[str, ...], float]]
    norms: Sequence[float]
    length: int


def cider(captions: Sequence[str], references: Sequence[Sequence[str]], clipped: bool = True) -> list[float]:
    """One figure a caption, 0..10; that of the corpus is their mean.

    Weights rest on the references of all captions together. clipped: CIDEr-D, as pycocoevalcap and all
    harnesses have it: repeated words gain nothing, and other lengths lose. False: CIDEr of the paper
    (arXiv:1411.5726), without stemming.
    """
    meant = [[ngrams(text.split()) for text in texts] for texts in references]
    pictures = Counter(run for texts in meant for run in {run for text in texts for run in text})
    whole = math.log(len(captions)) if captions else 0.0
    figures = []
    for caption, texts in zip(captions, meant, strict=True):
        said = _weigh(ngrams(caption.split()), pictures, whole)
        sums = [0.0] * ORDERS
        for text in texts:
            for order, value in enumerate(_likeness(said, _weigh(text, pictures, whole), clipped)):
                sums[order] += value
        figures.append(sum(sums) / ORDERS / len(texts) * 10)
    return figures


def _weigh(runs: Counter[tuple[str, ...]], pictures: Counter[tuple[str, ...]], whole: float) -> _Weighed:
    weights: list[dict[tuple[str, ...], float]] = [{} for _ in range(ORDERS)]
    for run, count in runs.items():
        weights[len(run) - 1][run] = count * (whole - math.log(max(1, pictures[run])))
    norms = [math.sqrt(sum(weight**2 for weight in order.values())) for order in weights]
    return _Weighed(weights, norms, sum(count for run, count in runs.items() if len(run) == 2))


def _likeness(said: _Weighed, meant: _Weighed, clipped: bool) -> list[float]:
    """Cosine of the weights of each length."""
    penalty = math.exp(-((said.length - meant.length) ** 2) / (2 * _SIGMA**2)) if clipped else 1.0
    found = []
    for one, two, norm, other in zip(said.weights, meant.weights, said.norms, meant.norms, strict=True):
        value = 0.0
        for run, weight in one.items():
            if run in two:
                value += (min(weight, two[run]) if clipped else weight) * two[run]
        found.append(value / (norm * other) * penalty if norm and other else value * penalty)
    return found
