"""A page of pairs: prompt and pictures, the right response beside the other, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tessera.align.preferences.pairs import Pair
from tessera.align.preferences.verdicts import ScoredResponse
from tessera.imaging.decode import UnreadablePicture, decode_image
from tessera.pages.blocks import MarkedText, PageBlock, ShownMedia, TextComparison
from tessera.pages.difference import Marked, mark_difference
from tessera.pages.page import HtmlPage
from tessera.records.files.places import OutsideRoot, inside
from tessera.runtime.shown import counted, shown

LARGEST = 360
"""Longer side of a shown picture in pixels."""


def picture_below(root: Path, path: str) -> Path | None:
    """The picture's file below the root, None when it is not there."""
    try:
        file = Path(inside(root, path))
    except OutsideRoot:
        return None
    return file if file.is_file() else None


def pair_page(name: str, pairs: Sequence[Pair], root: Path | None) -> HtmlPage:
    """The page of these pairs. root: where the pictures are; without one their paths are shown."""
    note = f"{counted(len(pairs), 'pair')}, drawn at random. Marked: what the other response lacks."
    blocks: list[PageBlock] = [compared(pair, root) for pair in pairs] or ["No pairs were found."]
    return HtmlPage(f"Preference pairs of {name}", note, [("Pairs", blocks)])


def compared(pair: Pair, root: Path | None) -> TextComparison:
    """One pair side by side."""
    response = pair.chosen.response
    marked = mark_difference(response.text, pair.rejected.response.text)
    head = (f"rule {pair.rule}", f"answer of the data set: {response.target}", response.version)
    sides = (
        _side("chosen", pair.chosen, marked[0], True),
        _side("rejected", pair.rejected, marked[1], False),
    )
    media = tuple(shown_picture(path, root) for path in response.pictures)
    return TextComparison(head, response.prompt, sides, media)


def _side(name: str, scored: ScoredResponse, pieces: Marked, good: bool) -> MarkedText:
    verdict = scored.verdict
    answer = "" if verdict.kind == "format" else f", answer {shown(verdict.answer)}"
    return MarkedText(f"{name}, line {scored.response.line}{answer}: {verdict.why}", pieces, good)


def shown_picture(path: str, root: Path | None) -> ShownMedia:
    """A small picture for a page; its path, and what is wrong with it, where it can't be shown."""
    if root is None or (file := picture_below(root, path)) is None:
        return ShownMedia(path)
    try:
        picture = decode_image(file)
    except (UnreadablePicture, OSError) as error:
        return ShownMedia(f"{path}: {shown(error)}")
    picture.thumbnail((LARGEST, LARGEST))
    return ShownMedia(path, picture)
