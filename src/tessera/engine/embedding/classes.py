"""Zero-shot classification: a class is the mean of its prompts, and a picture belongs to the nearest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tessera.chat.message import PictureSource
from tessera.engine.embedding.batches import batches
from tessera.engine.embedding.embedder import Embedder, Fit
from tessera.engine.embedding.prompts import fill
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import shown

TEXTS_AT_ONCE = 256
PICTURES_AT_ONCE = 32
LOGIT_SCALE = 100.0
"""What products of unit rows are multiplied by, whatever the model's own scale (docs/facts/embedding.md)."""


def class_weights(
    embedder: Embedder, names: Sequence[str], prompts: Sequence[str], progress: Progress = silent
) -> Tensor:
    """A unit row for every class, float32 [C, W]: the mean of its prompts' unit rows, made a unit row.

    Raises ValueError for no class, an empty name, and a name that is given twice.
    """
    check_names(names)
    each = len(prompts)
    rows: list[Tensor] = []
    for some in batches(names, max(1, TEXTS_AT_ONCE // each)):
        texts = [text for name in some for text in fill(tuple(prompts), name)]
        found = [embedder.embed_texts(part) for part in batches(texts, TEXTS_AT_ONCE)]
        means = torch.cat(found).float().unflatten(0, (len(some), each)).mean(dim=1)
        rows.append(F.normalize(means, dim=-1))
        progress("classes", sum(map(len, rows)), len(names))
    return torch.cat(rows)


def check_names(names: Sequence[str]) -> None:
    """ValueError for names of classes that can't be told apart."""
    if not names:
        raise ValueError("labels: none given; give the names of at least two classes")
    for place, name in enumerate(names):
        if not name.strip():
            raise ValueError(f"labels: number {place + 1} is empty; leave it out")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"labels: {shown(twice)} stands there twice; leave one out")


@dataclass(frozen=True)
class Guess:
    """What a picture may show: numbers of the best classes, best first, and their shares of certainty."""

    classes: tuple[int, ...]
    shares: tuple[float, ...]
    """Softmax over all classes of the logits, 100 x the product of unit rows."""


def classify(
    embedder: Embedder,
    pictures: Iterable[PictureSource],
    weights: Tensor,
    top: int = 5,
    mode: str = "c",
    fit: Fit = "crop",
) -> Iterator[Guess]:
    """The `top` best classes of each picture in order, equal ones by their place; weights float32 [C, W].

    Pictures are taken a few at a time. Raises ValueError as the embedder does.
    """
    count = min(top, len(weights))
    for some in batches(pictures, PICTURES_AT_ONCE):
        rows = embedder.embed_images(some, mode, fit=fit)
        logits = LOGIT_SCALE * rows @ weights.T
        shares, order = logits.softmax(dim=-1), logits.argsort(dim=-1, descending=True, stable=True)
        best = order[:, :count]
        for classes, each in zip(best.tolist(), shares.gather(1, best).tolist(), strict=True):
            yield Guess(tuple(classes), tuple(each))
