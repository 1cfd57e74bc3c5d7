"""Answers are spread evenly and cannot be guessed from the wording."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from tessera.playground.scene import SUITES, draw_scene

SEEN, HELD_OUT = 1200, 400
CHANCE: dict[str, float] = {
    # Two answers each; a blind guess is right half of the time, and these are reported with that level.
    **dict.fromkeys(
        ("size", "left_right", "above_below", "has_letter", "has_digit", "over", "sum_over"), 0.5
    ),
    **dict.fromkeys(("is_higher", "bars", "letters", "more_in", "fewer_in", "same_color", "same_count"), 0.5),
    **dict.fromkeys(("moves_to", "does_move", "before", "things_at_end", "more_by"), 0.5),
    # A name or a place of two stands in the question.
    **dict.fromkeys(("bigger", "smaller", "which_higher"), 0.5),
    **dict.fromkeys(("digits", "frames", "difference"), 0.34),
    **dict.fromkeys(("direction", "count_in"), 0.25),
    "count": 0.24,
}
OTHERS = 0.24
"""Chance level of every kind that is not named above."""
SLACK = 0.09


@pytest.mark.parametrize("suite", SUITES)
def test_blind_guessing_stays_near_chance(suite: str) -> None:
    """The best blind guesser knows the most frequent answer to each exact question text of 1,200 scenes."""
    by_kind: dict[str, Counter[str]] = defaultdict(Counter)
    by_text: dict[str, Counter[str]] = defaultdict(Counter)
    for seed in range(SEEN):
        for question in draw_scene(suite, seed).questions:
            by_kind[question.kind][question.final] += 1
            by_text[question.text][question.final] += 1
    hits: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for seed in range(SEEN, SEEN + HELD_OUT):
        for question in draw_scene(suite, seed).questions:
            counts = by_text.get(question.text, by_kind[question.kind])
            asked[question.kind] += 1
            hits[question.kind] += counts.most_common(1)[0][0] == question.final
    for kind, total in asked.items():
        limit = CHANCE.get(kind, OTHERS) + SLACK
        share = by_kind[kind].most_common(1)[0][1] / by_kind[kind].total()
        assert share <= limit, f"{kind}: one answer has {share:.0%}"
        if total >= 100:
            assert hits[kind] / total <= limit, (
                f"{kind}: a blind guesser is right in {hits[kind] / total:.0%}"
            )


def test_counts_are_flat_from_zero_to_five() -> None:
    counts: Counter[str] = Counter()
    for seed in range(2000):
        counts.update(q.final for q in draw_scene("shapes", seed).questions if q.kind == "count")
    assert set(counts) == set("012345")
    assert max(counts.values()) < 0.25 * counts.total()
    assert min(counts.values()) > 0.09 * counts.total()
