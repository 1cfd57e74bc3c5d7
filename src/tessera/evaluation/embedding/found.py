"""What queries found, as values, and as a page of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import PIL.Image
from torch import Tensor

from tessera.engine.embedding.index import EmbeddingIndex
from tessera.engine.embedding.items import IndexedItem
from tessera.engine.embedding.nearest import nearest
from tessera.imaging.decode import decode_image
from tessera.imaging.video import probe_video, read_frames
from tessera.pages.blocks import SampleCard, SampleCards, ShownMedia
from tessera.pages.page import HtmlPage

SIDE = 320
"""Longer side in pixels of a picture on the page."""


@dataclass(frozen=True)
class Hit:
    """An item that was found, and the product of its unit row with the query's."""

    item: IndexedItem
    score: float


@dataclass(frozen=True)
class Found:
    """A query, a text or a picture's file, and what it found, best first."""

    query: str
    hits: tuple[Hit, ...]
    picture: bool = False


def ask_index(
    index: EmbeddingIndex, queries: Sequence[str], rows: Tensor, top: int, pictures: bool = False
) -> list[Found]:
    """The `top` items nearest to each query's unit row [Q, W]; equal scores keep the index's order."""
    best = nearest(rows, index.rows, top)
    found = []
    for query, numbers, scores in zip(queries, best.rows.tolist(), best.scores.tolist(), strict=True):
        hits = (Hit(index.items[number], score) for number, score in zip(numbers, scores, strict=True))
        found.append(Found(query, tuple(hits), pictures))
    return found


def found_page(place: Path, asked: Sequence[Found], model: str) -> HtmlPage:
    """Every query with the pictures that it found; texts as they are, clips by their middle frame."""
    sections = []
    for found in asked:
        cards = []
        if found.picture:
            cards.append(SampleCard(("asked",), (ShownMedia(picture=_small(decode_image(found.query))),)))
        for number, hit in enumerate(found.hits, 1):
            cards.append(_card(place, number, hit))
        sections.append((found.query, (SampleCards(cards, narrow=True),)))
    return HtmlPage(f"Found in {place.name}", f"by {model}; scores are products of unit rows", sections)


def _card(place: Path, number: int, hit: Hit) -> SampleCard:
    head = (f"{number}.", f"{hit.score:.3f}")
    if hit.item.kind == "text":
        return SampleCard(head, lines=(("", hit.item.name),))
    file = place / hit.item.name
    try:
        picture = decode_image(file) if hit.item.kind == "picture" else _middle(file)
    except ValueError as error:  # it changed since it was indexed
        return SampleCard((*head, hit.item.name), lines=(("bad", str(error)),))
    return SampleCard((*head, hit.item.name), (ShownMedia(picture=_small(picture)),))


def _middle(clip: Path) -> PIL.Image.Image:
    return read_frames(clip, [probe_video(clip).frames // 2])[0]


def _small(picture: PIL.Image.Image) -> PIL.Image.Image:
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    return small
