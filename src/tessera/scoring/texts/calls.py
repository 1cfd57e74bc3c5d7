"""Calls of functions in a reply: the right function with the right arguments."""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tessera.scoring.settings import flag
from tessera.scoring.verdict import Reference, Verdict

Call = tuple[str, Any]
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|$)", re.DOTALL)


def tool_call(arguments: bool = True, ordered: bool = False) -> Callable[[str, Reference], Verdict]:
    """1 when the reply makes exactly the calls of one of the answers, else 0.

    Replies hold `<tool_call>{"name": …, "arguments": {…}}</tool_call>` as Qwen writes them, or nothing but
    that JSON; answers are the same, or JSON of a call or a list of calls. arguments: False looks at names
    alone. ordered: several calls must stand in the order of the answer.
    """
    whole, in_order = flag("arguments", arguments), flag("ordered", ordered)

    def score(prediction: str, reference: Reference, /) -> Verdict:
        said = calls_in(prediction)
        meant = [calls_in(answer) for answer in reference.answers]
        named = any(_same([*map(_name, said)], [*map(_name, calls)], in_order) for calls in meant)
        same = any(_same(said, calls, in_order) for calls in meant)
        parts = {"calls": len(said), "names": float(named), "arguments": float(same)}
        why = "the same" if same else "other arguments" if named else "other functions"
        return Verdict(float(same if whole else named), _told(said), why if said else "no call", parts)

    return score


def calls_in(text: str) -> list[Call]:
    """Name and arguments of every call in a text, in order; one that is no JSON has the name "" and its text.

    >>> calls_in('<tool_call>{"name": "zoom", "arguments": {"x": 1}}</tool_call>')
    [('zoom', {'x': 1})]
    """
    marked = _CALL.findall(text)
    if marked:
        return [call for body in marked for call in _read(body)]
    found = _read(text)
    return found if all(name for name, _ in found) else []


def _read(body: str) -> list[Call]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return [("", body.strip())]
    return [_call(entry, body) for entry in (value if isinstance(value, list) else [value])]


def _call(entry: Any, body: str) -> Call:
    """Also in OpenAI's form: under `function`, the arguments as text."""
    entry = entry.get("function", entry) if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return "", body.strip()
    arguments = entry.get("arguments", entry.get("parameters", {}))
    if isinstance(arguments, str):
        with suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    return entry["name"], arguments


def _name(call: Call) -> str:
    return call[0]


def _same(said: Sequence[Any], meant: Sequence[Any], ordered: bool) -> bool:
    if ordered or len(said) != len(meant):
        return list(said) == list(meant)
    left = list(meant)
    for call in said:
        if call not in left:
            return False
        left.remove(call)
    return True


def _told(calls: Sequence[Call]) -> str | None:
    if not calls:
        return None
    return json.dumps([{"name": name, "arguments": found} for name, found in calls], ensure_ascii=False)
