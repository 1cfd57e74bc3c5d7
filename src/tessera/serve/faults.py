"""Refusals in OpenAI's error shape: `{"error": {"message", "type", "param", "code"}}` and a status."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import ValidationError

from tessera.runtime.config import first_fault
from tessera.runtime.shown import shown

_PARAM = re.compile(r"((?:[a-z_]+|\[\d+\])(?:\.[a-z_]+|\[\d+\])*)(?: = |: |\[)")
"""How messages of this package begin: with the field."""
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""`json.dumps` makes one for each value; streams write many."""
_KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class ApiFault(Exception):
    """A request that is refused or that failed: HTTP status, message, code and, where known, the field."""

    def __init__(
        self, status: int, message: str, code: str, param: str | None = None, wait: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.wait = status, message, code, param, wait

    @property
    def body(self) -> dict[str, Any]:
        """The error as clients read it."""
        kind = _KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it: `Retry-After` where another try makes sense."""
        return {} if self.wait is None else {"retry-after": str(self.wait)}


class ClientGone(Exception):
    """The client closed the connection; nobody waits for the answer."""


def invalid(error: ValueError, code: str = "invalid_value", hide: str = "") -> ApiFault:
    """What is wrong with a request, said by the room that found it; `hide` is a folder that is not told."""
    if isinstance(error, ValidationError):
        return _of_a_field(error)
    message = shown(str(error), 600, bare=True)
    message = message.replace(hide, "") if hide else message
    field = _PARAM.match(message)
    return ApiFault(400, message, code, field[1] if field else None)


def _of_a_field(error: ValidationError) -> ApiFault:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    message = first_fault(error)
    if first["type"] == "extra_forbidden":
        return ApiFault(400, f"{field}: no such field here; leave it out", "unknown_field", field)
    if first["type"] == "value_error" and not field:
        return invalid(ValueError(message))
    return ApiFault(400, message, "invalid_value", field or None)


def bad_field(field: str, what: str) -> ApiFault:
    """A field that holds what it cannot."""
    return ApiFault(400, f"{field}: {what}", "invalid_value", field)


def json_bytes(value: Any) -> bytes:
    """A value as JSON; halves of surrogate pairs, which UTF-8 cannot write, as their escapes."""
    return _JSON.encode(value).encode("utf-8", "backslashreplace")
