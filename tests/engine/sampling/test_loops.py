"""Loops are found whatever their period; tables, lists and what repeats by right are not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.engine.engine import Engine
from tessera.engine.sampling.chooser import Chooser
from tessera.engine.sampling.loops import LoopRule, LoopWatch
from tessera.engine.sampling.options import Sampling, read_sampling
from tests.engine import tiny

EARLY = LoopRule(tokens=12, times=3, longest=6)


def found_at(ids: Sequence[int], rule: LoopRule) -> int | None:
    """How many tokens had come when the loop was noticed."""
    watch = LoopWatch(rule)
    for count, token in enumerate(ids, start=1):
        watch.take(token)
        if watch.looping:
            return count
    return None


def slowly_found_at(ids: Sequence[int], rule: LoopRule) -> int | None:
    """The same from the definition: the end is one stretch over and over, the last of them perhaps begun."""
    for count in range(1, len(ids) + 1):
        for period in range(1, rule.longest + 1):
            needed = max(rule.tokens, rule.times * period)
            end = ids[:count][-needed:]
            if len(end) == needed and all(end[i] == end[i - period] for i in range(period, needed)):
                return count
    return None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 2), max_size=20),
    st.lists(st.integers(0, 2), min_size=1, max_size=7),
    st.integers(0, 12),
    st.builds(LoopRule, tokens=st.integers(2, 15), times=st.integers(2, 4), longest=st.integers(1, 6)),
)
def test_loops_are_those_of_the_definition(
    before: list[int], stretch: list[int], times: int, rule: LoopRule
) -> None:
    ids = before + stretch * times
    assert found_at(ids, rule) == slowly_found_at(ids, rule)


def test_periods_of_all_lengths_are_found() -> None:
    for period in (1, 2, 7, 40, 64, 200, 512):
        at = found_at([*range(1000, 1100), *list(range(period)) * 1100], LoopRule())
        assert at == 100 + max(1024, 16 * period)


ROWS = range(1, 41)
TABLE = "| n | name | value |\n|---|---|---|\n" + "".join(f"| {n} | row | {n * 7} |\n" for n in ROWS)
BY_RIGHT = {
    "markdown table": "| n | name | value |\n|---|---|---|\n"
    + "".join(f"| {n} | row | {n * 7} |\n" for n in ROWS),
    "empty table": "| | | | | |\n" * 40,
    "empty form": "<tr><td></td><td></td><td></td></tr>\n" * 16,
    "wide rule": "|" + "---|" * 60,
    "dotted contents": "".join(f"{n}. Chapter {'.' * 60} {n * 3}\n" for n in ROWS),
    "numbers": ", ".join(map(str, range(400))),
    "zeros": "0.0, " * 120,
    "boxes": "".join(f"<box>[[{n}, {n}, 90, 90]]</box>\n" for n in ROWS),
    "refrain": "".join(f"verse {n} of the song\nla la la la la\nla la la la la\n" for n in ROWS),
    "asked for": "I will not talk in class.\n" * 25,
    "json": "".join(f'{{"label": "car", "box": [{n}, 2, 3, 4]}},\n' for n in ROWS),
    "code": "    x.append(0)\n" * 40,
}
LOOPS = {
    "a sentence": "The picture shows a red circle beside a blue square. " * 60,
    "digits": "Total: 3" + "3" * 2000,
    "a growing answer that sticks": TABLE + "| 41 | row | 287 |\n" * 150,
    "two lines": "the red circle\nthe blue square\n" * 200,
}


@pytest.mark.parametrize("name", BY_RIGHT)
def test_what_repeats_by_right_goes_on(name: str) -> None:
    """With the defaults; this tokenizer spells by letters, so that the texts are longer than in real ones."""
    assert found_at(tiny.tokenizer().encode(BY_RIGHT[name]), LoopRule()) is None


@pytest.mark.parametrize("name", LOOPS)
def test_loops_are_ended(name: str) -> None:
    ids = tiny.tokenizer().encode(LOOPS[name])
    at = found_at(ids, LoopRule())
    assert at is not None and at < len(ids)


def test_the_engine_ends_a_loop_with_a_reason_of_its_own() -> None:
    """Greedy random models go round in circles soon; what was said stays, and neighbours go on."""
    prompts = tiny.mixed_prompts()[:2]
    samplings = [Sampling(max_new_tokens=200, ignore_eos=True, end_loops=EARLY), Sampling(max_new_tokens=60)]
    stops = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
    ended, other = Engine(tiny.model(), tiny.tokenizer(), stops).generate(prompts, samplings)
    assert ended.finish == "repetition" and found_at(ended.ids, EARLY) == len(ended.ids)
    assert ended.text == tiny.tokenizer().decode(ended.ids) and other.finish != "repetition"


def test_a_request_asks_for_it_in_a_word_or_with_its_own_rule() -> None:
    assert Sampling().end_loops is None and read_sampling({"end_loops": False}).end_loops is None
    assert read_sampling({"end_loops": True}).end_loops == LoopRule()
    own = read_sampling({"end_loops": {"tokens": 12, "times": 3, "longest": 6}})
    chooser = Chooser(own, (), 300)
    for _ in range(11):
        chooser.take(5)
    assert chooser.finish is None
    chooser.take(5)
    assert chooser.finish == "repetition"
    with pytest.raises(ValueError, match="end_loops.times = 1: give at least 2"):
        read_sampling({"end_loops": {"times": 1}})
