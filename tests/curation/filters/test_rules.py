"""Each rule on what it should and should not find, and against slow oracles."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.curation.filters.length import LengthSample
from tessera.curation.filters.rules.content import (
    garbled,
    placeholder,
    sentence_length,
    symbol_share,
    truncated,
    url_share,
)
from tessera.curation.filters.rules.finding import Levels, excerpt
from tessera.curation.filters.rules.language import language_mismatch
from tessera.curation.filters.rules.prose import prose, words
from tessera.curation.filters.rules.repetition import (
    character_run,
    ngram_repetition,
    phrase_loop,
    repeated_lines,
    zero_run,
)
from tests.curation.filters.planted import prose as words_of

T = st.integers(4, 12)
CLEAN = words_of(Random(0), 12)
CODE = "```python\n" + "    return value\n" * 20 + "```"


def test_a_loop_is_found_with_its_place_and_number() -> None:
    text = f"{CLEAN} {'wait, let me check. ' * 9}Done."
    found = phrase_loop(text)
    assert found.value == 9
    assert text[found.start : found.end].startswith("wait, let me check")
    assert text[found.start : found.end].count("check") == 9


def test_a_loop_of_one_chinese_phrase_is_found() -> None:
    assert phrase_loop("让我再检查一下。" * 12).value == 12
    assert ngram_repetition("让我再检查一下。" * 12).value > 0.8


def brute_loop(spoken: tuple[str, ...]) -> float:
    """The most times any phrase of up to 12 words follows itself, by trying all."""
    best = 0.0
    for period in range(1, 13):
        run = 0
        for at in range(period, len(spoken)):
            run = run + 1 if spoken[at] == spoken[at - period] else 0
            best = max(best, (run + period) / period if run else 0)
    return best


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "epsilon"]), max_size=12), T)
def test_a_planted_loop_is_never_missed(phrase: list[str], times: int) -> None:
    """Three or more words whose repetition is planted; the oracle tries every period."""
    text = f"{CLEAN} {' '.join(phrase * times)}"
    if len(set(phrase)) < len(phrase) or len(phrase) < 3:
        return
    spoken = words(text)
    assert int(phrase_loop(text).value) == int(brute_loop(spoken)) >= times


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), max_size=120))
def test_ngram_share_equals_counting(letters: list[str]) -> None:
    text = " ".join(letters)
    grams = Counter(tuple(letters[at : at + 10]) for at in range(len(letters) - 9))
    repeats = sum(count - 1 for count in grams.values())
    expected = repeats / grams.total() if grams.total() >= 20 else 0.0
    assert ngram_repetition(text).value == pytest.approx(expected)


def test_ngram_evidence_is_the_first_repeat() -> None:
    again = words_of(Random(1), 3)
    text = f"{again} {CLEAN} {again}"
    found = ngram_repetition(text)
    assert 0 < found.value < 1
    assert found.start >= len(again) + len(CLEAN)
    assert again.startswith(text[found.start : found.end])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0" * 64, 64),
        ("the price is 1,000,000,000", 9),
        ("in 2000 it was 100,000", 0),
        (", ".join(["0"] * 30), 30),
        ("x = 10000000000000000000000000000000", 31),
    ],
)
def test_zero_run_counts_zeros(text: str, value: float) -> None:
    assert zero_run(text).value == value


def test_rulers_of_tables_are_no_runs_and_zeros_have_their_own_rule() -> None:
    assert character_run("-" * 100).value == 10
    assert character_run("!" * 100).value == 100
    assert character_run("0" * 100).value == 0
    assert character_run("a b  c").value == 0


def test_repeated_lines_count_those_that_stood_before() -> None:
    text = "\n".join(
        ["one line", "two line", "three line", "four line", "one line", "one line", "}", "}", "}"]
    )
    found = repeated_lines(text)
    assert found.value == pytest.approx(2 / 6)
    assert text[found.start : found.end] == "one line"
    assert repeated_lines("}\n" * 50).value == 0
    assert repeated_lines("same line\nsame line").value == 0


def test_links_and_signs_are_measured_outside_code() -> None:
    assert url_share("https://example.org/" + "a" * 80).value == pytest.approx(1)
    assert url_share(CLEAN).value == 0
    assert symbol_share("#@&%*" * 20).value == pytest.approx(1)
    assert symbol_share("```\n" + "#@&%*" * 50 + "\n```").value == 0
    assert symbol_share("$" + "\\frac{a}{b}+" * 20 + "$").value == 0
    assert symbol_share("<box>[[1, 2, 3, 4]]</box>" * 20).value == 0
    assert symbol_share(CLEAN).value == 0


def test_blanking_keeps_positions() -> None:
    text = "a ```code``` b <box>[[1, 2, 3, 4]]</box> $x$ c `y` d"
    assert len(prose(text)) == len(text)
    assert prose(text).split() == ["a", "b", "c", "d"]
    assert len(prose(CODE)) == len(CODE)


def test_garbled_text() -> None:
    assert garbled("Das Gebäude ist schön.").value == 0
    assert garbled("Das Gebäude ist schön.".encode().decode("latin-1")).value > 50
    assert garbled("a\ufffdb").value > 1
    assert garbled("line\nline\ttab").value == 0
    assert garbled("你好，世界。Ça va? Ãlvaro").value == 0


@pytest.mark.parametrize(
    "text", ["", "  ", "TODO", "{answer}", "[caption here]", "lorem ipsum dolor", "TBD."]
)
def test_sure_placeholders(text: str) -> None:
    assert placeholder(text).value == 1


@pytest.mark.parametrize("text", ["None", "N/A", "...", "unknown"])
def test_unsure_placeholders_are_for_a_person(text: str) -> None:
    assert placeholder(text).value == 0.5


@pytest.mark.parametrize(
    "text", ["No", "3", "0", "Nanjing", "None of them", "x", "无", "TODO lists help me.", CLEAN]
)
def test_short_answers_are_no_placeholders(text: str) -> None:
    assert placeholder(text).value == 0


def test_cut_answers() -> None:
    assert truncated("Here:\n```python\nx = 1\n").value == 1
    assert truncated(f"Here:\n{CODE}").value == 0
    assert truncated("<think>hm, first").value == 1
    assert truncated(r"\begin{align} x").value == 1
    assert truncated(CLEAN[: CLEAN.rindex(" ", 0, -20)]).value == 0.5
    assert truncated(CLEAN).value == 0
    assert truncated("a red circle").value == 0
    assert truncated(CLEAN + "\n- a last item without a stop").value == 0
    assert truncated(CLEAN + " The result is 42").value == 0


def test_sentences_end_at_stops_lines_and_chinese_stops() -> None:
    assert sentence_length("word " * 900 + "end.").value > 4000
    assert sentence_length(CLEAN).value < 300
    assert sentence_length("中文句子很长。" * 500).value == 7
    assert sentence_length(CODE * 50).value < 100


@pytest.mark.parametrize(
    ("question", "answer", "value"),
    [
        ("What is this?", "Это старый дом у реки, очень красивый.", 1),
        ("What is this?", "这是一座很老的房子，在河边。", 1),
        ("图中有什么？", "There is a small black cat in the picture, and a tree behind it.", 1),
        ("图中有什么？", "图中有一只黑色的猫坐在窗台上。", 0),
        ("Translate into Russian: the old house.", "Это старый дом у реки, очень красивый.", 0),
        ("Read the text on the sign.", "小心地滑，请勿奔跑，注意安全。", 0),
        ("What is this?", "OK", 0),
        (
            "What is in the picture and where?",
            "Auf dem Bild ist ein Hund, der mit einem Ball auf der großen Wiese und nicht im Haus spielt.",
            0.6,
        ),
    ],
)
def test_language_of_question_and_answer(question: str, answer: str, value: float) -> None:
    assert language_mismatch(question, answer).value == value


def test_length_sample_does_not_depend_on_the_order() -> None:
    lengths = {record: 50 + record % 40 for record in range(30_000)}
    forward, backward, parts = LengthSample(), LengthSample(), LengthSample()
    for record, length in lengths.items():
        forward.add(record, length)
    for record in reversed(lengths):
        backward.add(record, lengths[record])
    for start in range(0, 30_000, 1000):
        part = LengthSample()
        for record in range(start, start + 1000):
            part.add(record, lengths[record])
        parts.merge(part.kept)
    assert len(forward.kept) == 10_000
    assert sorted(forward.kept) == sorted(backward.kept) == sorted(parts.kept)


def test_a_length_far_from_the_others_is_an_outlier() -> None:
    sample = LengthSample()
    for record in range(49):
        sample.add(record, 100)
    assert sample.profile() is None
    sample.add(49, 100)
    profile = sample.profile()
    assert profile is not None
    assert profile.outlier(100).value == 0
    assert profile.outlier(150).value < 5
    assert profile.outlier(3000).value > 8
    assert profile.outlier(1).value > 8


def test_levels() -> None:
    levels = Levels(borderline=1, drop=2)
    assert [levels.verdict(value) for value in (0.9, 1, 2)] == ["keep", "borderline", "drop"]
    assert [levels.threshold(verdict) for verdict in ("borderline", "drop")] == [1, 2]
    with pytest.raises(ValueError, match="borderline 3.0 is above drop 2.0"):
        Levels(borderline=3, drop=2)


def test_excerpt_is_bounded_and_shows_the_place() -> None:
    text = "a" * 500 + "HERE" + "b" * 500
    shown = excerpt(text, 500, 504)
    assert "HERE" in shown and len(shown) <= 162 and shown.startswith("…") and shown.endswith("…")
    assert excerpt("short", 0, 5) == "short"
