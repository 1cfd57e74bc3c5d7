"""Stored answers as cards of a page: pictures, question, reply, what was taken from it, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tessera.evaluation.comparing.stored import StoredAnswer, StoredMedia
from tessera.imaging.decode import UnreadablePicture, decode_image
from tessera.pages.blocks import MarkedText, SampleCard, ShownMedia, TextComparison
from tessera.pages.difference import Marked, mark_difference
from tessera.runtime.shown import shown

T = TypeVar("T")
LARGEST = 360
"""Longer side of a shown picture in pixels."""
MOST_PICTURES, MOST_CHARACTERS = 4, 4000
"""Of a question; of a reply."""


def evenly(things: Sequence[T], most: int) -> list[T]:
    """At most so many of them, at even distances, the first among them.

    >>> evenly("abcdef", 3)
    ['a', 'c', 'e']
    """
    if len(things) <= most:
        return list(things)
    return [things[at * len(things) // most] for at in range(most)]


def shown_of(media: Sequence[StoredMedia]) -> list[ShownMedia]:
    """The first pictures small; of clips, and of what can't be shown, the path; the number of the others."""
    more = [ShownMedia(f"and {len(media) - MOST_PICTURES} more")] if len(media) > MOST_PICTURES else []
    return [_shown(one) for one in media[:MOST_PICTURES]] + more


def _shown(media: StoredMedia) -> ShownMedia:
    if media.kind != "image" or not media.path.is_file():
        return ShownMedia(str(media.path))
    try:
        picture = decode_image(media.path)
    except (UnreadablePicture, OSError) as error:
        return ShownMedia(f"{media.path}: {shown(error)}")
    picture.thumbnail((LARGEST, LARGEST))
    return ShownMedia(str(media.path), picture)


def asked_of(answer: StoredAnswer) -> str:
    """Question and options."""
    return "\n".join([answer.question, *(f"{letter}. {text}" for letter, text in answer.options.items())])


def verdict_of(answer: StoredAnswer) -> str:
    """What was taken for the answer, its score, and why."""
    taken = "nothing taken" if answer.extracted is None else f"taken: {shown(answer.extracted)}"
    return ", ".join(filter(None, (taken, f"score {answer.score:.4g}", answer.why)))


def compared_card(
    one: StoredAnswer, two: StoredAnswer, names: tuple[str, str], tags: Sequence[str]
) -> TextComparison:
    """Both replies to a question side by side, what differs marked. tags: shown above, and for filters."""
    marked = mark_difference(_cut(one.prediction), _cut(two.prediction))
    sides = [
        _side(name, answer, pieces) for name, answer, pieces in zip(names, (one, two), marked, strict=True)
    ]
    head = (f"question {one.index}", *filter(None, tags), _expected(one))
    return TextComparison(head, asked_of(one), sides, shown_of(one.media), tags)


def _side(name: str, answer: StoredAnswer, pieces: Marked) -> MarkedText:
    return MarkedText(f"{name}: {verdict_of(answer)}", pieces, answer.score >= 0.5)


def answer_card(answer: StoredAnswer, tags: Sequence[str]) -> SampleCard:
    """One reply."""
    lines = [("turn", asked_of(answer)), ("turn", _cut(answer.prediction) or "(no answer)")]
    lines += [("good" if answer.score >= 0.5 else "bad", verdict_of(answer)), ("", _expected(answer))]
    return SampleCard(
        (f"question {answer.index}", *filter(None, tags)), shown_of(answer.media), lines, tags=tags
    )


def _expected(answer: StoredAnswer) -> str:
    return f"right: {' | '.join(dict.fromkeys(answer.answers)) or 'not known'}"


def _cut(text: str) -> str:
    left = len(text) - MOST_CHARACTERS
    if left <= 0:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n… {left:,} characters left out …\n{text[-half:]}"
