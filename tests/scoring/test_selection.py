"""Which answers are one, which candidate is chosen, and how often that would be right with fewer."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.scoring.selection.choosing import select
from tessera.scoring.selection.curve import MOST_SUBSETS, any_right, expected_right, sizes
from tessera.scoring.selection.options import options_in
from tessera.scoring.selection.responses import CandidateResponse, choose
from tessera.scoring.selection.rule import Candidate, Method, SelectionRule, Ties, Vote
from tessera.scoring.selection.sameness import clusters, same_answer

TABLE = (Path(__file__).parent / "same_answers.txt").read_text(encoding="utf-8").splitlines()
PAIRS = [tuple(line.split(" ;; ")) for line in TABLE if not line.startswith("#")]
ANSWERS = st.sampled_from(["5", "5.0", "five", "5 cm", "5 m", "6", "1/2", "0.5", "B", "(B) cat", "cat", None])
SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
CANDIDATES = st.lists(
    st.builds(Candidate, ANSWERS, st.sampled_from([-2.0, -1.0, -0.5]), SHARES), min_size=1, max_size=7
)
RULES = [
    SelectionRule("best_of"),
    *(
        SelectionRule("majority", vote, ties)
        for vote in ("count", "logprob", "critic")
        for ties in ("first", "logprob")
    ),
]


@pytest.mark.parametrize(("one", "two", "verdict"), PAIRS)
def test_which_answers_are_one(one: str, two: str, verdict: str) -> None:
    assert same_answer(one, two) == same_answer(two, one) == (verdict == "same")


def test_the_table_is_long_and_has_both_verdicts() -> None:
    verdicts = [verdict for *_, verdict in PAIRS]
    assert len(PAIRS) == len(set(PAIRS)) > 110 and verdicts.count("other") > 40


@pytest.mark.parametrize(
    ("answers", "numbers"),
    [
        ([], ()),
        ([None, "", " "], (None, None, None)),
        (["a", "b", "A"], (0, 1, 0)),
        ([None, "b", "a", "b"], (None, 0, 1, 0)),
        (["1/2", "2", "0.5", r"\frac{1}{2}"], (0, 1, 0, 0)),
        (["5 cm", "5 m"], (0, 1)),
        (["5 cm", "5 m", "5"], (0, 0, 0)),
        (["B", "(C)", "B. cat", "cat", "c"], (0, 1, 0, 0, 1)),
    ],
)
def test_clusters_are_numbered_as_they_are_seen(
    answers: list[str | None], numbers: tuple[int | None, ...]
) -> None:
    assert clusters(answers) == numbers


def candidates(text: str, logprobs: str = "", scores: str = "") -> list[Candidate]:
    """From words: answers ("-" is none), and numbers."""
    found = [Candidate(None if word == "-" else word) for word in text.split()]
    for place, value in enumerate(logprobs.split()):
        found[place] = replace(found[place], logprob=float(value))
    for place, value in enumerate(scores.split()):
        found[place] = replace(found[place], score=float(value))
    return found


@pytest.mark.parametrize(
    ("method", "vote", "ties", "given_", "chosen"),
    [
        ("majority", "count", "first", candidates("7"), 0),
        ("majority", "count", "first", candidates("7 8 8"), 1),
        ("majority", "count", "first", candidates("7 8"), 0),
        ("majority", "count", "first", candidates("7 8 8 7"), 0),
        ("majority", "count", "first", candidates("- - 8"), 2),
        ("majority", "count", "first", candidates("- - -"), 0),
        ("majority", "count", "first", candidates("7 8 eight 8.0"), 1),
        ("majority", "count", "logprob", candidates("7 8 8 7", "-2 -1 -1 -2"), 1),
        ("majority", "count", "logprob", candidates("7 8 8 7", "-2 -1 -2 -1"), 0),
        ("majority", "count", "logprob", candidates("7 8", "-2 -1"), 1),
        ("majority", "count", "logprob", candidates("7 7 8", "-9 -9 -1"), 0),
        ("majority", "logprob", "first", candidates("7 7 8", "-3 -3 -0.1"), 2),
        ("majority", "logprob", "first", candidates("7 7 8", "-0.2 -0.1 -0.1"), 1),
        ("majority", "critic", "first", candidates("7 7 8", "", "0.2 0.3 0.9"), 2),
        ("majority", "critic", "first", candidates("7 7 8", "", "0.4 0.5 0.8"), 1),
        ("majority", "critic", "first", candidates("7 7 8", "", "0 0 0"), 0),
        ("majority", "critic", "first", candidates("- 7 8", "", "0.9 0.1 0.2"), 2),
        ("best_of", "count", "first", candidates("7 8 9", "", "0.1 0.3 0.2"), 1),
        ("best_of", "count", "first", candidates("7 8 9", "", "0.3 0.3 0.2"), 0),
        ("best_of", "count", "first", candidates("- 8 9", "", "0.9 0.3 0.2"), 0),
        ("best_of", "count", "first", candidates("7 8 9", "", "-100 0 -200"), 1),
    ],
)
def test_choices(method: Method, vote: Vote, ties: Ties, given_: list[Candidate], chosen: int) -> None:
    assert select(given_, SelectionRule(method, vote, ties)).chosen == chosen


def test_what_a_selection_tells() -> None:
    found = select(candidates("7 8 8 -"), SelectionRule())
    assert (found.chosen, found.clusters, found.weights) == (1, (0, 1, 1, None), (1.0, 2.0))
    assert found.why == "2 of 4 votes"
    assert select(candidates("7 8", "", "0.5 0.25"), SelectionRule("best_of")).why == "score 0.5"
    assert (
        select(candidates("7 7 8", "", ".2 .4 .4"), SelectionRule(vote="critic")).why == "60% of the weight"
    )
    assert select(candidates("-"), SelectionRule()).why == "no candidate has an answer"


def test_what_says_nothing_is_not_rated_and_never_the_best() -> None:
    rule = SelectionRule("best_of")
    given_ = [Candidate(None), *candidates("7 8", "", "-300 -200")]
    assert select(given_, rule).chosen == 2
    assert [expected_right(given_, [True, False, True], rule, k, 1) for k in (1, 2, 3)] == [1.0, 0.5, 1.0]
    assert select([Candidate(None)] * 2, rule).why == "no candidate says anything"
    for vote in ("critic", "logprob"):
        rule = SelectionRule(vote=vote, ties="logprob")
        assert select([Candidate(None), *candidates("7", "-9", "0")], rule).chosen == 1


def test_what_is_missing_is_named() -> None:
    for given_, rule, told in (
        ([], SelectionRule(), "candidates are empty"),
        (candidates("7 8", "", "1"), SelectionRule("best_of"), r"candidates\[1\].score = None: .*a critic"),
        (candidates("7 8", "", "1 nan"), SelectionRule("best_of"), r"candidates\[1\].score = nan"),
        (candidates("7", "", "-1"), SelectionRule(vote="critic"), r"candidates\[0\].score = -1: votes"),
        (candidates("7"), SelectionRule(vote="logprob"), r"candidates\[0\].logprob = None: .*logprobs"),
        (candidates("7"), SelectionRule(ties="logprob"), r"candidates\[0\].logprob = None"),
        (candidates("- 7", "", "1 -2"), SelectionRule(vote="critic"), r"candidates\[1\].score = -2: votes"),
    ):
        with pytest.raises(ValueError, match=told):
            select(given_, rule)
    with pytest.raises(ValueError, match="vote = 'most': give one of count, logprob, critic"):
        SelectionRule(vote="most")  # type: ignore[arg-type]


@given(
    st.lists(ANSWERS, max_size=7).flatmap(
        lambda answers: st.tuples(st.just(answers), st.permutations(range(len(answers))))
    )
)
@settings(max_examples=60, deadline=None)
def test_order_plays_no_part_in_clusters(case: tuple[list[str | None], list[int]]) -> None:
    answers, order = case
    before, after = clusters(answers), clusters([answers[place] for place in order])
    for one in range(len(order)):
        for two in range(one):
            assert (after[one] == after[two]) == (before[order[one]] == before[order[two]])


@given(CANDIDATES, st.sampled_from(RULES), st.randoms(use_true_random=False))
@settings(max_examples=120, deadline=None)
def test_order_plays_no_part_but_in_ties(
    given_: list[Candidate], rule: SelectionRule, random: object
) -> None:
    """Whatever the order, the winner stands as high: by weight, then by the ties' rule."""
    shuffled = list(given_)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    standings = []
    for each in (given_, shuffled):
        found = select(each, rule)
        winner, label = each[found.chosen], found.clusters[found.chosen]
        if rule.method == "best_of":
            standings.append((winner.score, 0.0))
            assert winner.score == max(one.score for one in each if one.score is not None)
        elif label is None:
            assert all(one.answer is None for one in each)
        else:
            assert found.weights[label] == max(found.weights)
            mates = [one for one, own in zip(each, found.clusters, strict=True) if own == label]
            tie = math.fsum(one.logprob or 0.0 for one in mates) if rule.ties == "logprob" else 0.0
            standings.append((found.weights[label], tie))
    assert len(set(standings)) <= 1


@given(CANDIDATES, st.sampled_from(RULES), st.integers(0, 1), st.integers(0, 127))
@settings(max_examples=100, deadline=None)
def test_the_curve_is_the_mean_over_subsets(
    given_: list[Candidate], rule: SelectionRule, fixed: int, verdicts: int
) -> None:
    """By brute force. Clusters are those of the whole sample, so bridges between answers are given."""
    right = [bool(verdicts >> place & 1) for place in range(len(given_))]
    names = [None if label is None else f"w{label}x" for label in clusters([one.answer for one in given_])]
    plain = [replace(one, answer=name) for one, name in zip(given_, names, strict=True)]
    for k in range(max(1, fixed), len(plain) + 1):
        subsets = [s for s in combinations(range(len(plain)), k) if fixed == 0 or s[0] == 0]
        chosen = [s[select([plain[i] for i in s], rule).chosen] for s in subsets]
        voted = [any(plain[i].answer for i in s) or rule.method == "best_of" for s in subsets]
        slow = mean(right[place] and had for place, had in zip(chosen, voted, strict=True))
        assert expected_right(given_, right, rule, k, fixed) == pytest.approx(slow)
        slow = mean(any(right[i] for i in s) for s in subsets)
        assert any_right(right, k, fixed) == pytest.approx(slow)


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Which?\nA. a cat\nB. a dog", {"A": "a cat", "B": "a dog"}),
        ("(A) 5\n(B) 6\n(C) 7\nAnswer", {"A": "5", "B": "6", "C": "7"}),
        ("A) x\n  B) y ", {"A": "x", "B": "y"}),
        ("A：猫\nB：狗", {"A": "猫", "B": "狗"}),
        ("A. old\nB. list\nthen\nA. new\nB. one", {"A": "new", "B": "one"}),
        ("A. alone", {}),
        ("B. no\nC. beginning", {}),
        ("A. a gap\nC. here", {}),
        ("In a text A. Smith and B. Jones", {}),
        ("", {}),
    ],
)
def test_options_of_a_question(question: str, options: dict[str, str]) -> None:
    assert options_in(question) == options


def test_words_of_an_option_are_its_letter() -> None:
    question = "<image>\nWhich is it?\nA. a cat\nB. a dog\nC. 1/2\nD. the dog"
    said = [
        CandidateResponse(f"Answer: {answer}")
        for answer in ("cat", "A", "0.5", "(C)", "a dog", "a horse", "B")
    ]
    labels = [one.cluster for one in choose(said, None, SelectionRule(), question).candidates]
    assert labels == [0, 0, 1, 1, 2, 3, 4], "two options say dog: the words mean neither"
    assert [one.cluster for one in choose(said[:4], None, SelectionRule()).candidates] == [0, 1, 2, 3]


def test_many_candidates_are_drawn_always_alike_and_close() -> None:
    """20 candidates, of which 12 give the right answer: 9 are right about as often as the count says."""
    given_ = candidates("7 " * 12 + "8 " * 8)
    right = [True] * 12 + [False] * 8
    assert math.comb(20, 9) > MOST_SUBSETS
    found = expected_right(given_, right, SelectionRule(), 9)
    assert found == expected_right(given_, right, SelectionRule(), 9)
    exact = sum(math.comb(12, n) * math.comb(8, 9 - n) for n in range(5, 10)) / math.comb(20, 9)
    assert found == pytest.approx(exact, abs=0.05)
    with pytest.raises(ValueError, match="k = 21: give a number from 1 to 20"):
        any_right(right, 21)


def test_the_numbers_of_a_curve() -> None:
    assert [sizes(most) for most in (1, 2, 3, 8, 9)] == [
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 4, 8),
        (1, 2, 4, 8, 9),
    ]
