"""Precision and recall of the rules on the planted corpus: bounds to the table of docs/data_filter.md."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tessera.curation.filters.rules.table import DEFAULTS
from tests.curation.filters.precision import RuleCounts, run_rules

Result = tuple[dict[str, RuleCounts], Counter[str], int, float]

BOUNDS = {
    "character_run": (0.98, 0.85),
    "empty_answer": (1.0, 1.0),
    "garbled": (0.98, 0.95),
    "language_mismatch": (0.98, 0.6),
    "length_outlier": (0.9, 0.75),
    "ngram_repetition": (0.9, 0.65),
    "phrase_loop": (0.98, 0.85),
    "placeholder": (0.65, 0.75),
    "repeated_lines": (0.9, 0.75),
    "sentence_length": (0.98, 0.8),
    "symbol_share": (0.9, 0.75),
    "truncated": (0.7, 0.75),
    "url_share": (0.6, 0.65),
    "zero_run": (0.65, 0.85),
}
"""Rule -> least precision and recall. Low ones are for a person: see the look-alikes of the corpus."""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("corpus")
    return run_rules(folder, seed=5)


def test_every_rule_is_bounded() -> None:
    assert set(DEFAULTS) - set(BOUNDS) == {"length_limit"}


@pytest.mark.parametrize("rule", sorted(BOUNDS))
def test_precision_and_recall(rule: str, result: Result) -> None:
    one, (precision, recall) = result[0][rule], BOUNDS[rule]
    assert one.planted >= 30
    assert one.precision >= precision, f"{rule}: {one}"
    assert one.recall >= recall, f"{rule}: {one}"


def test_hardly_a_clean_record_is_dropped_without_a_person(result: Result) -> None:
    """False alarms are allowed as borderline only, and few of them."""
    _, clean, records, _ = result
    assert records > 2000
    assert clean["drop"] <= 2
    assert clean["borderline"] < 0.06 * records
