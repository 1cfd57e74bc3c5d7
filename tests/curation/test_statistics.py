"""Numbers of a source: histograms, scripts, scales of boxes, estimates of packs."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.curation.estimate import AT_A_TIME, estimate_packs
from tessera.curation.scripts import count_scripts
from tessera.curation.statistics import BoxEvidence, boxes_in, tile_histogram, token_histogram
from tessera.packing.config import Limits
from tessera.packing.planning.plan import plan_packs


@pytest.mark.parametrize("limit", [1, 5, 4096, 16384])
def test_bars_cover_everything_once(limit: int) -> None:
    for histogram in (token_histogram(limit), tile_histogram(limit)):
        values = np.arange(2 * limit + 2)
        histogram.add(values)
        assert histogram.counts.sum() == len(values) == sum(histogram.counts)
        assert histogram.above == limit + 1 and histogram.total == values.sum()
        assert len(histogram.labels) == len(histogram.counts)
        assert histogram.tops[-1] == limit


def test_labels_say_what_a_bar_holds() -> None:
    histogram = tile_histogram(48)
    histogram.add([0, 3, 5, 6, 48, 49])
    filled = {label for label, count in zip(histogram.labels, histogram.counts, strict=True) if count}
    assert filled == {"0", "3", "5-6", "41-48", "> 48"}


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Hello, naïve Wörld 123!", "Latin"),
        ("Привет, мир", "Cyrillic"),
        ("你好，世界。", "Han"),
        ("こんにちは カタカナ", "Kana"),
        ("안녕하세요", "Hangul"),
        ("مرحبا بالعالم", "Arabic"),
        ("नमस्ते", "Devanagari"),
        ("Γειά σου", "Greek"),
        ("שלום", "Hebrew"),
        ("สวัสดี", "Thai"),
    ],
)
def test_scripts(text: str, script: str) -> None:
    assert set(count_scripts(text)) == {script}


def test_mixed_scripts_and_things_that_are_no_letters() -> None:
    assert count_scripts("ab 你 12 .,;:[] \ud800 😀") == {"Latin": 2, "Han": 1}
    assert not count_scripts("")


def evidence(boxes: list[tuple[float, ...]], size: tuple[int, int] | None) -> str:
    found = BoxEvidence()
    for box in boxes:
        found.add(box, size)
    return found.guess()[0]


@pytest.mark.parametrize(("scale", "answer"), [(1, "0-1"), (1000, "0-1000"), (None, "pixels")])
def test_the_scale_of_boxes_is_guessed(scale: int | None, answer: str) -> None:
    rng = np.random.default_rng(0)
    width, height = 640, 480
    shares = [sorted(rng.random(2)) + sorted(rng.random(2)) for _ in range(60)]
    boxes = [(x1, y1, x2, y2) for x1, x2, y1, y2 in shares]
    if scale != 1:
        factors = (scale, scale, scale, scale) if scale else (width, height, width, height)
        boxes = [tuple(round(s * f) for s, f in zip(box, factors, strict=True)) for box in boxes]  # type: ignore[misc]
    assert evidence(boxes, (width, height)) == answer


def test_large_pixels_need_no_picture_and_few_boxes_prove_nothing() -> None:
    assert evidence([(0, 0, 1800, 900)] * 5, None) == "pixels"
    assert evidence([(0, 0, 80, 90)] * 5, (640, 480)) == "0-1000"
    assert evidence([], None) == "none"
    assert evidence([(0.1, 0.1, 0.5, 0.5)] * 5 + [(1, 2, 300, 400)] * 5, None) == "unclear"


def test_boxes_are_found_anywhere_and_nonsense_is_passed_over() -> None:
    record = {
        "text": "<box>[[1, 2, 3, 4], [5, 6, 7, 8]]</box> and [0.1, 0.2, 0.3, 0.4]",
        "objects": {"bbox": [[9, 9, 10, 10], [float("nan"), 0, 1, 1], [10**400, 0, 0, 0], [1, 2, 3]]},
        "huge": "[" + "9" * 400 + ", 1, 1, 1]",
    }
    assert list(boxes_in(record)) == [(1, 2, 3, 4), (5, 6, 7, 8), (0.1, 0.2, 0.3, 0.4), (9, 9, 10, 10)]
    deep: list[object] = [1, 2, 3, 4]
    for _ in range(500):
        deep = [deep]
    assert list(boxes_in(deep)) == []


def test_estimates_of_small_sources_are_the_plan_itself() -> None:
    rng = np.random.default_rng(1)
    tokens, tiles = rng.integers(10, 400, 500).astype(np.int32), rng.integers(0, 5, 500).astype(np.int32)
    limits = Limits(max_tokens=1000, max_tiles=12)
    found = estimate_packs([(tokens, tiles)], [1.0], limits)
    assert found.packs == len(plan_packs(tokens, tiles, 1000, 12))
    assert (found.samples, found.tokens, found.tiles) == (500, tokens.sum(), tiles.sum())
    assert found.bound <= found.packs and found.padding == found.packs * 1000 - found.tokens
    half = estimate_packs([(tokens, tiles)], [0.5], limits)
    assert half.samples == 250 and abs(half.packs / found.packs - 0.5) < 0.1
    assert estimate_packs([], [], limits).packs == 0


def test_large_sources_are_planned_in_parts() -> None:
    count = AT_A_TIME + 1000
    tokens = np.random.default_rng(2).integers(10, 900, count).astype(np.int32)
    found = estimate_packs([(tokens, np.zeros(count, dtype=np.int32))], [1.0], Limits())
    assert found.samples == count and found.tokens == int(tokens.sum(dtype=np.int64))
    assert found.bound <= found.packs < found.bound * 1.01
