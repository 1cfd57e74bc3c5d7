"""Rows by a key, in memory that doesn't grow with them: hashes of the keys in order, kept in a file."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tessera.records.files.cache import map_table

Place = tuple[int, int]
"""Number of a file, and of the row in it."""


def write_lookup(file: Path, keys: Iterable[tuple[str, Place]]) -> NDArray[np.int64]:
    """Keys with the places of their rows as a table, which comes back: int64 [N, 3], hash, file and row."""
    table = np.array(sorted((_hash(key), *place) for key, place in keys), np.int64).reshape(-1, 3)
    table.tofile(file)
    return table


class Lookup:
    """Places of rows by key. Another key may have the same hash: the row itself has to be asked."""

    def __init__(self, file: Path) -> None:
        self._table = map_table(file, 3)

    def places(self, key: str) -> Iterator[Place]:
        """Where rows with this key may be, in order."""
        wanted = _hash(key)
        for at in range(int(np.searchsorted(self._table[:, 0], wanted)), len(self._table)):
            found, file, row = self._table[at].tolist()
            if found != wanted:
                return
            yield file, row


def doubles(table: NDArray[np.int64]) -> Iterator[tuple[Place, Place]]:
    """Neighbours of one hash: rows that may have one key."""
    for at in np.flatnonzero(table[1:, 0] == table[:-1, 0]).tolist():
        one, two = table[at].tolist(), table[at + 1].tolist()
        yield (one[1], one[2]), (two[1], two[2])


def _hash(key: str) -> int:
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
