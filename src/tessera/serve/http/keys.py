"""API keys: who asks. Compared in constant time, and never told."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from tessera.serve.faults import ApiFault


class ApiKeys:
    """The keys that a server knows; with none everybody may ask."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def owner(self, header: str, client: str) -> str:
        """Whose request this is: of a key, or of a client's address where there are no keys.

        header: the `Authorization` of the request. ApiFault 401 for a key that is missing or unknown.
        """
        if not self._digests:
            return client
        scheme, _, key = header.partition(" ")
        given = hashlib.sha256(key.strip().encode("utf-8", "replace")).digest()
        # Every key is compared, so that the time tells nothing about which one came near.
        found = [hmac.compare_digest(given, digest) for digest in self._digests]
        if scheme.lower() != "bearer" or not any(found):
            what = "the API key is unknown" if key else "an API key is missing"
            raise ApiFault(401, f"{what}: send the header Authorization: Bearer <key>", "invalid_api_key")
        return f"key {found.index(True) + 1}"


def read_keys(file: Path) -> tuple[str, ...]:
    """Keys of a file, one a line; lines that begin with # are notes. ValueError when it holds none."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise ValueError(f"{file}: holds no key; write one a line")
    return keys
