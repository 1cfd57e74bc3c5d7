"""Lines by question, wherever in the file they stand: eight bytes a line, and twice that while sorting."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tessera.align.preferences.response import Key

NO_GROUP = 0
"""Stands for a line that belongs to no question."""


class Grouping:
    """Takes the key of every line in order, and gives back the lines of each question."""

    def __init__(self) -> None:
        self._digests = array("Q")

    def add(self, index: int, key: Key) -> None:
        """The line `index` answers this question; lines that are passed over belong to none."""
        self._digests.extend([NO_GROUP] * (index - len(self._digests)))
        self._digests.append(_digest(key))

    def groups(self) -> Iterator[NDArray[np.int64]]:
        """Line indices of one question after the other, by first appearance: int64 [n], growing.

        Two questions may share a digest (once in 2**63 pairs), so keys are to be compared again.
        """
        digests = np.frombuffer(self._digests, np.uint64)
        order = np.argsort(digests, kind="stable")
        ends = np.flatnonzero(np.diff(digests[order])) + 1
        bounds = np.concatenate([[0], ends, [len(order)]])
        firsts = order[bounds[:-1]] if len(order) else order
        for number in np.argsort(firsts, kind="stable"):
            group = order[bounds[number] : bounds[number + 1]]
            if digests[group[0]] != NO_GROUP:
                yield group


def _digest(key: Key) -> int:
    """64 bits of a key, never `NO_GROUP`."""
    text = repr(key).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") | 1
