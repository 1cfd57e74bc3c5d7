"""The review page: borderline and dropped records for a person to decide about."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tessera.chat.message import Image, Medium, Video
from tessera.curation.filters.outcome import Flagged, read_flagged
from tessera.curation.filters.run import VERDICT_FILE, Run
from tessera.imaging.decode import decode_image
from tessera.pages.page import ReviewPage, data_address, write_page
from tessera.runtime.seeds import derive_seed

PAGE = "review.html"
LONGEST_TURN = 6_000
"""Characters of a turn on the page."""
MOST_PICTURES = 4
PICTURE_SIDE = 192


def write_review(run: Run) -> Path:
    """Write `review.html` from the run's verdicts: at most `review_samples` records."""
    chosen, counts = choose(read_flagged(run.out / VERDICT_FILE), run.config.review_samples)
    places = {filtered.source.name: number for number, filtered in enumerate(run.sources)}
    data = {
        "run": run.stamp(),
        "borderline": run.config.borderline,
        "counts": dict(counts),
        "samples": [_sample(run, places[flagged.source], flagged) for flagged in chosen],
    }
    return write_page(run.out / PAGE, ReviewPage("tessera data filter: review", data))


def choose(flagged: Iterable[Flagged], most: int) -> tuple[list[Flagged], Counter[str]]:
    """Records for the page and the counts of all: borderline ones first, then dropped, a fair sample of each.

    Which ones is decided by a hash, so that the same run shows the same; memory is that of the sample.
    Records that can't be read are counted and left out: there is nothing to decide.
    """
    counts: Counter[str] = Counter(borderline=0, drop=0, unreadable=0)

    def ranked() -> Iterator[tuple[bool, int, int, Flagged]]:
        for number, record in enumerate(flagged):
            counts["unreadable"] += record.unreadable
            if not record.unreadable and record.verdict != "keep":
                counts[record.verdict] += 1
                chance = derive_seed("review", record.source, record.record)
                yield record.verdict == "drop", chance, number, record

    kept = heapq.nsmallest(most, ranked())
    return [record for *_, record in sorted(kept, key=lambda item: (item[0], item[2]))], counts


def _sample(run: Run, number: int, flagged: Flagged) -> dict[str, Any]:
    """A record as the page shows it."""
    conversation = run.sources[number].source.conversation(flagged.record)
    row, most = flagged.rows[0], MOST_PICTURES if run.config.review_pictures else 0
    return {
        "source": flagged.source,
        "record": flagged.record,
        "place": f"{row['file']}:{row['line']}",
        "digest": f"{derive_seed('text', *(message.text for message in conversation.messages)):x}",
        "verdict": flagged.verdict,
        "rows": [r for r in flagged.rows if r["verdict"] != "keep" or r["rule"].startswith("model_")],
        "turns": [
            {"role": m.role, "text": m.text[:LONGEST_TURN], "left_out": max(0, len(m.text) - LONGEST_TURN)}
            for m in conversation.messages
        ],
        "pictures": [_picture(part) for part in conversation.media[:most]],
    }


def _picture(part: Medium) -> str:
    """A small JPEG as data address; what can't be shown is told in words."""
    if not isinstance(part, Image):
        return "[clip]" if isinstance(part, Video) else "[sound]"
    try:
        picture = decode_image(part.source, reading=part.reading)
    except (ValueError, OSError) as error:
        return f"[{error}]"
    picture = picture.copy() if picture is part.source else picture
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    return data_address(picture)
