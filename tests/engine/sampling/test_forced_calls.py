"""An answer that must call a function is a call, with arguments that are valid for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tessera.chat.tool_calls import ToolUse, split_calls
from tessera.engine.sampling.chooser import Choosers
from tessera.engine.sampling.forced_calls import calls_grammar
from tessera.engine.sampling.options import Sampling
from tests.engine import tiny
from tests.engine.sampling.schemas import fits
from tests.engine.sampling.test_constraints import STOPS, say_something

SPOT = {
    "type": "object",
    "properties": {"x": {"$ref": "#/$defs/place"}, 'n"ame': {"type": "string", "maxLength": 4}},
    "required": ["x"],
    "additionalProperties": False,
    "$defs": {"place": {"type": "integer", "minimum": 0, "maximum": 999}},
}
TOOLS = [
    {"type": "function", "function": {"name": "mark", "parameters": SPOT}},
    {"type": "function", "name": "undo"},
]
FLAT = SPOT | {"properties": SPOT["properties"] | {"x": SPOT["$defs"]["place"]}}  # type: ignore[operator, index]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("choice", "several"),
    [("required", True), ("required", False), ({"type": "function", "name": "mark"}, False)],
)
def test_what_must_be_called_is_called(choice: Any, several: bool, seed: int) -> None:
    grammar = calls_grammar(ToolUse.read(TOOLS, choice, several))
    chooser = Choosers(tiny.tokenizer(), STOPS).chooser(Sampling(grammar=grammar), ())
    words, calls = split_calls(say_something(chooser, tiny.tokenizer(), STOPS, seed))
    assert words == "" and (len(calls) >= 1 if several else len(calls) == 1)
    for call in calls:
        assert call.name == "mark" or (call.name == "undo" and choice == "required")
        assert call.name == "undo" or fits(json.loads(call.arguments), FLAT)


def test_nothing_is_forced_where_words_will_do() -> None:
    assert calls_grammar(ToolUse.read(TOOLS, "auto")) is None
