"""Items through a critic, question after question: a score each, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tessera.align.critics.critic import Judged
from tessera.align.critics.items import RatedItem
from tessera.align.critics.journal import RatingJournal
from tessera.align.critics.process import ProcessCritic
from tessera.runtime.progress import Progress, silent

Rating = dict[str, Any]
"""{"score", "steps"} of an item, or {"why"}."""


def rate_items(
    items: Iterable[RatedItem],
    critic: ProcessCritic,
    journal: RatingJournal,
    media: Path,
    max_tiles: int | None = None,
    total: int | None = None,
    progress: Progress = silent,
) -> Iterator[tuple[RatedItem, Rating]]:
    """Every item with its rating, in order; neighbours with one question are rated together.

    media: folder of the pictures. What the journal has is not rated again.
    """
    done = 0
    for _, neighbours in groupby(items, key=lambda item: item.key):
        group = list(neighbours)
        missing = [item for item in group if item.number not in journal.found]
        if missing:
            journal.add(_rated(missing, critic, media, max_tiles))
        for item in group:
            yield item, journal.found[item.number]
        done += len(group)
        progress("responses", done, total)


def _rated(
    group: Sequence[RatedItem], critic: ProcessCritic, media: Path, max_tiles: int | None
) -> dict[int, Rating]:
    ratings: dict[int, Rating] = {item.number: {"why": item.fault} for item in group if item.fault}
    sound = [item for item in group if not item.fault]
    if not sound:
        return ratings
    try:
        found = _judged(sound, critic, media, max_tiles)
    except (ValueError, OSError):  # whose fault it is shows when each is rated alone
        for item in sound:
            ratings[item.number] = _alone(item, critic, media, max_tiles)
        return ratings
    return ratings | {item.number: _rating(one) for item, one in zip(sound, found, strict=True)}


def _alone(item: RatedItem, critic: ProcessCritic, media: Path, max_tiles: int | None) -> Rating:
    try:
        return _rating(_judged([item], critic, media, max_tiles)[0])
    except (ValueError, OSError) as error:
        return {"why": str(error).removeprefix("responses[0]: ")}


def _judged(
    items: Sequence[RatedItem], critic: ProcessCritic, media: Path, max_tiles: int | None
) -> list[Judged]:
    return critic.rate(items[0].conversation(media, max_tiles), [item.steps for item in items])


def _rating(judged: Judged) -> Rating:
    return {"score": judged.score, "steps": list(judged.steps)}
