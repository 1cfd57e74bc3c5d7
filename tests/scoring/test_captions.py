"""Captions: words against recorded ones of the Stanford tokenizer, figures against pycocoevalcap's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.captions.bleu import bleu
from tessera.scoring.captions.cider import cider
from tessera.scoring.captions.named import AGGREGATES, FIGURES, SCORERS
from tessera.scoring.captions.ptb import ptb_lines
from tessera.scoring.captions.rouge import common_length, rouge_l
from tessera.scoring.verdict import Graded, Reference, Verdict

CORPUS = [
    (
        "A red kite above the dunes.",
        ["A red kite flies over the dunes.", "Someone's kite, high above a beach", "the kite is red"],
    ),
    (
        "two cats asleep on the sofa, two cats",
        ["Two cats sleep on a sofa.", "A pair of cats asleep on the grey sofa"],
    ),
    (
        "A man can't open the door",
        [
            *("A man doesn't manage to open the blue door.", "The man can't open it!"),
            *("a man and a door", "Man at a door"),
        ],
    ),
    ("", ["An empty street at night."]),
    (
        "a street at night in the rain",
        ["A wet street at night", "Rain at night on an empty street (no cars)"],
    ),
]
WORDS = st.lists(st.sampled_from(["a", "man", "the", "dog", "red", "on"]), max_size=9)
TEXTS = st.text(alphabet="abNT t'’-.,:;!?/(12)$#&@\n中é", max_size=24)


def graded(corpus: list[tuple[str, list[str]]]) -> list[Graded]:
    return [
        Graded(str(at), caption, Verdict(0), Reference(tuple(texts)))
        for at, (caption, texts) in enumerate(corpus)
    ]


def test_words_are_those_of_the_stanford_tokenizer() -> None:
    """Recorded answers of version 3.4.1; what stands alone in a line was asked between x and y."""
    lines = (Path(__file__).parent / "ptb_words.txt").read_text(encoding="utf-8").splitlines()[1:]
    wrong = []
    for line in lines:
        text, _, words = line.partition(" ;;")
        words = words.removeprefix(" ").replace("·", "\u00a0")
        alone = " " not in text.strip(" ") and not text.startswith("x ")
        found = ptb_lines([f"x {text} y" if alone else text, "x"])[0]
        expected = " ".join(filter(None, ("x", words, "y"))) if alone else words
        if found != expected:
            wrong.append((text, found, expected))
    assert len(lines) > 900 and not wrong


def test_a_line_sees_the_one_behind_it() -> None:
    """pycocoevalcap hands all captions over in one file, and the tokenizer looks beyond the line."""
    assert ptb_lines(["plan a.", "The end", "no.", "5 x"]) == ["plan a", "the end", "no.", "5 x"]
    assert ptb_lines(["plan a.", "the end", "no."]) == ["plan a.", "the end", "no"]
    assert ptb_lines(["hi :)", "hi :)"]) == ["hi :-rrb-", "hi -rrb-"]
    assert ptb_lines(["two\nlines", ""]) == ["two lines", ""]


@pytest.mark.parametrize(
    ("settings", "recorded"),
    [
        (
            {},
            [1.6101970253312647, 0.7430381997327958, 0.6129752413284972, 0.4605976142662705]
            + [0.3207807135730643, 0.565686703080833],
        ),
        (
            {"rules": "vlmevalkit"},
            [1.4085092676024815, 0.6297017414153193, 0.542208948672582, 0.4106119718885785]
            + [0.2535053652700497, 0.47309786120220565],
        ),
    ],
)
def test_figures_are_those_of_pycocoevalcap(settings: dict[str, Any], recorded: list[float]) -> None:
    found = AGGREGATES["captions"](percent=False, **settings)(graded(CORPUS))
    assert [found[name] for name in FIGURES] == pytest.approx(recorded, abs=1e-12)
    assert found["overall"] == found["CIDEr"]
    times = AGGREGATES["captions"](headline="BLEU-4", **settings)(graded(CORPUS))
    assert times["overall"] == pytest.approx(100 * recorded[4])


def test_small_cases_by_hand() -> None:
    assert bleu(["a b c d"], [["a b c d"]]) == pytest.approx([1] * 4)
    assert bleu(["a a a a"], [["a b", "a a c"]])[0] == pytest.approx(0.5)  # clipped to two of four
    assert bleu(["a b"], [["a b c", "a b c d e f"]])[0] == pytest.approx(math.exp(1 - 3 / 2))
    assert bleu(["a b c"], [["a b", "a b c d"]])[0] == pytest.approx(1)  # the shorter of two as close
    assert bleu([""], [["a"]])[0] == pytest.approx(0)
    assert rouge_l("a b c", ["a x c"]) == pytest.approx(2 / 3)
    assert rouge_l("a", ["b"]) == 0 and rouge_l("", [""]) == 1
    precision, recall = 1.0, 0.5
    assert rouge_l("a b", ["a b c d"]) == pytest.approx(
        2.44 * precision * recall / (recall + 1.44 * precision)
    )
    assert cider(["a b c d", "x"], [["a b c d"], ["y"]])[0] == pytest.approx(10)
    assert cider(["a b c d"], [["a b c d"]]) == [0]  # of one picture every word is everywhere
    twice, once = (cider([said, "x"], [["a b"], ["y z"]])[0] for said in ("a a a a b", "a b"))
    assert twice < once
    plain = cider(["a a a a b", "x"], [["a b"], ["y z"]], clipped=False)[0]
    assert plain > twice


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"rules": "bert"}, "give one of official, lmms-eval, vlmevalkit"),
        ({"headline": "SPICE"}, "give one of CIDEr, BLEU-1"),
    ],
)
def test_settings_are_checked(settings: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        AGGREGATES["captions"](**settings)
    with pytest.raises(ValueError, match="no question has a reference"):
        AGGREGATES["captions"]()([])


def test_one_caption_alone_has_its_rouge() -> None:
    assert SCORERS["caption"]()("The Dog.", Reference(("the dog",))).score == 1
    assert SCORERS["caption"](rules="vlmevalkit")("The Dog.", Reference(("the dog",))).score == 0
    assert SCORERS["caption"]()("x", Reference(())).why == "no reference"


@given(WORDS, WORDS)
def test_common_length_is_that_of_the_table(one: list[str], two: list[str]) -> None:
    table = [[0] * (len(two) + 1) for _ in range(len(one) + 1)]
    for i, first in enumerate(one):
        for j, second in enumerate(two):
            longest = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = table[i][j] + 1 if first == second else longest
    assert common_length(one, two) == table[-1][-1]


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=4)), min_size=1, max_size=5))
def test_order_and_case_do_not_count(corpus: list[tuple[list[str], list[list[str]]]]) -> None:
    """Of references and of pictures; more spaces between words make no difference, either."""
    plain = [(" ".join(said), [" ".join(text) for text in texts]) for said, texts in corpus]
    other = [
        ("  ".join(said).upper(), [" ".join(text) + " " for text in texts][::-1]) for said, texts in corpus
    ]
    one, two = (AGGREGATES["captions"]()(graded(given)) for given in (plain, other[::-1]))
    assert one == pytest.approx(two)
    assert all(0 <= one[name] <= 100 + 1e-6 for name in FIGURES if name != "CIDEr")


@given(TEXTS)
def test_words_hold_no_spaces_and_nothing_is_made_up(text: str) -> None:
    (words,) = ptb_lines([text])
    assert words == " ".join(words.split(" ")) and "\n" not in words
    letters = [sign for sign in text.lower() if sign in "ab中é12"]
    assert [sign for sign in words if sign in "a中é12"] == [
        sign for sign in letters if sign != "b"
    ] or "(" in text
