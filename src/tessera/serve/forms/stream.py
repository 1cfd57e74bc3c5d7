"""Lines of a stream of server-sent events."""

from __future__ import annotations

from typing import Any

from tessera.serve.faults import json_bytes

DONE = b"data: [DONE]\n\n"


def data(value: Any) -> bytes:
    """One event that holds a value."""
    return b"data: " + json_bytes(value) + b"\n\n"


def event(value: dict[str, Any]) -> bytes:
    """One event that tells its type twice, as in the Responses API."""
    return b"event: " + value["type"].encode() + b"\n" + data(value)
