"""Schemas drawn at random, and a slow validator that knows just these kinds."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b name", "größe 🙂", 'q"uote', "e\u0301"])
LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.builds(
        lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
        st.integers(-20, 20),
        st.integers(0, 300),
    ),
    st.builds(lambda size: {"type": "string", "maxLength": size}, st.integers(0, 6)),
    st.just({"type": "string", "pattern": "^[a-c]{1,4}$"}),
    st.builds(
        lambda values: {"enum": values},
        st.lists(st.sampled_from(["x", "ä\n", 3, None, True]), min_size=1, max_size=3),
    ),
)


def _object(fields: dict[str, Any], optional: bool) -> dict[str, Any]:
    required = sorted(fields)[: 1 if optional else None]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(_object, st.dictionaries(NAMES, inner, min_size=1, max_size=3), st.booleans()),
        st.builds(
            lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, st.integers(0, 3)
        ),
    ),
    max_leaves=5,
)
"""JSON schemas whose answers are short, however they are drawn."""


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a JSON value is valid, by the words of the standard."""
    if "enum" in schema:
        return any(value == entry and type(value) is type(entry) for entry in schema["enum"])
    match schema["type"]:
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "integer":
            return type(value) is int and schema["minimum"] <= value <= schema["maximum"]
        case "string":
            long = len(value) > schema.get("maxLength", len(value)) if isinstance(value, str) else True
            return not long and (
                re.search(schema["pattern"], value) is not None if "pattern" in schema else True
            )
        case "array":
            return (
                isinstance(value, list)
                and len(value) <= schema["maxItems"]
                and all(fits(v, schema["items"]) for v in value)
            )
    known = schema["properties"]
    return (
        isinstance(value, dict)
        and set(schema["required"]) <= set(value) <= set(known)
        and all(fits(entry, known[name]) for name, entry in value.items())
    )
