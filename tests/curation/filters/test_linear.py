"""Patterns on a user's texts pass them once: a hostile record must not hold a run for hours."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tessera.curation.filters import domains
from tessera.curation.filters.models import scorer
from tessera.curation.filters.rules import content, language, prose, repetition
from tessera.curation.report import seen
from tessera.curation.statistics import boxes_in
from tessera.records.files import shards
from tessera.scoring import boxes, exact, extract

SIZE = 200_000
FINDERS: dict[str, Callable[[str], object]] = {
    "prose": prose.prose.__wrapped__,
    "sentences": content.sentence_length,
    "truncated": content.truncated,
    "symbols": content.symbol_share,
    "zeros": repetition.zero_run,
    "characters": repetition.character_run,
    "script": lambda text: language.main_script(text, 10),
    "domain": domains.domain_by_rule,
    "score": scorer.read_score,
    "reason": scorer.read_reason,
    "shown boxes": seen._BOX.findall,
    "boxes": boxes.parse_boxes,
    "boxes of records": lambda text: list(boxes_in(text)),
    "numbers": extract.last_number,
    "steps": exact._STEP.findall,
    "shards": shards._BRACES.search,
}
UNITS = [
    "\\[",
    "\\(",
    "$$",
    "`",
    "<box>",
    "<ref>",
    "<ref></ref>",
    "\n",
    "!",
    "。",
    "SELECT ",
    "return ",
    "8*",
    "[1,",
    "0 ",
    "{,",
]


@pytest.mark.parametrize("name", FINDERS)
def test_no_text_takes_longer_than_its_length(name: str) -> None:
    """A formula opened and never closed, 20,000 times, took four seconds; as often 。 twenty."""
    for unit in UNITS:
        text = (unit * (SIZE // len(unit) + 1))[:SIZE] + "x"
        begin = time.process_time()
        FINDERS[name](text)
        assert time.process_time() - begin < 5, unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a \[x^2\] b \(y\) c $z$ $$w$$ d", "a         b       c           d"),
        (r"a \[ b \[c\] d", r"a \[ b       d"),
        ("a <box>[[1]]</box> b <ref>c</ref>", "a                  b      c      "),
        ("a <box> b <box>[1]</box>", "a <box> b               "),
        ("`a` ```b\nc``` d", "    " + " " * 9 + " d"),
    ],
)
def test_prose_is_what_it_was(text: str, expected: str) -> None:
    assert prose.prose(text) == expected


def test_scores_and_sentences_are_what_they_were() -> None:
    assert scorer.read_score("<think>9</think> the final score is **8 / 10**.") == 8
    assert scorer.read_score("First.\nScore: 7\nLast words.") == 7
    ends = [match.group() for match in prose.SENTENCE_END.finditer('One. Two!" 三。四？ 3.5 x...\n')]
    assert ends == [".", '!"', "。", "？", "...", "\n"]
