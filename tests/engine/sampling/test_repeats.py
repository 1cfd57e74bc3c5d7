"""Expressions that would hold up the engine for seconds are refused; those that people write are not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.chat.tool_calls import ToolUse
from tessera.engine.sampling.forced_calls import calls_grammar
from tessera.engine.sampling.grammar import Grammar
from tessera.engine.sampling.repeats import MOST, written_out

ATOMS = st.sampled_from(["a", "[b-d]", r"\.", r"[\]x]", "[^e]", r"\d"])


def regexes(inner: st.SearchStrategy[tuple[str, int]]) -> st.SearchStrategy[tuple[str, int]]:
    """Groups in a row, each repeated, and how many atoms they come to."""
    group = st.tuples(inner, st.integers(1, 6)).map(lambda g: (f"(?:{g[0][0]}){{{g[1]}}}", g[0][1] * g[1]))
    return st.lists(inner | group, min_size=1, max_size=3).map(
        lambda parts: ("".join(p for p, _ in parts), sum(n for _, n in parts))
    )


@given(st.recursive(ATOMS.map(lambda atom: (atom, 1)), regexes, max_leaves=12))
def test_sizes_are_those_of_the_expression_written_out(drawn: tuple[str, int]) -> None:
    """`(?:` counts its colon, which is no atom; a text that matches has one character for each atom."""
    regex, atoms = drawn
    assert written_out(regex.replace("(?:", "(")) == atoms
    for count in (atoms - 1, atoms + 1):
        assert not re.fullmatch(regex, "a" * count)


@given(st.text("(){}[]\\,*+?|a1-^9", max_size=40))
def test_anything_has_a_size(text: str) -> None:
    assert written_out(text) >= 0


def test_what_is_refused_and_what_is_not() -> None:
    for sound in (r"\d{4}-\d{2}-\d{2}", "[a-z]{1,300}( [a-z]{1,300}){0,9}", r"(\w+\s?)*", "a{20000}"):
        assert Grammar(regex=sound).regex == sound
    huge = "((((a{99}){99}){99}){99})"
    assert written_out(huge) == 99**4 > MOST
    schema = {"properties": {"x": {"items": [{"type": "string", "pattern": huge}]}}}
    for given_form in (
        {"regex": huge},
        {"json_schema": schema},
        {"json_schema": {"patternProperties": {huge: {}}}},
    ):
        with pytest.raises(ValueError, match="its repeats make 96,059,601 characters"):
            Grammar(**given_form)  # type: ignore[arg-type]
    function = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"pattern": huge}}}}
    use = ToolUse.read([{"type": "function", "function": function}], "required")
    with pytest.raises(ValueError, match="a parameter of f"):
        calls_grammar(use)
