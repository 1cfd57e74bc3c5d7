"""Who owns which page of the key-value cache, and which pages hold something that may be used again.

A block is a page: keys and values of `size` tokens. Full blocks are found by a digest of all that they depend
on (`Sequence.digest`), so that requests with the same beginning share them. A block that nobody owns keeps
its content until room is needed; the one that was left longest ago goes first.
"""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np


class Blocks:
    """`count` blocks of `size` tokens."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self._owners = [0] * count
        self._digests: list[bytes | None] = [None] * count
        self._found: dict[bytes, int] = {}
        self._left: OrderedDict[int, None] = OrderedDict()
        """Without an owner, with content; left longest ago first."""
        self._empty = np.ones(count, dtype=np.bool_)
        self._empties = count

    @property
    def free(self) -> int:
        """Blocks without an owner."""
        return self._empties + len(self._left)

    def needed(self, tokens: int) -> int:
        """Blocks for so many tokens."""
        return -(-tokens // self.size)

    def take(self, count: int, behind: int | None = None) -> list[int]:
        """So many blocks, of which there must be enough `free`; on from block `behind` where that is empty.

        Neighbours are read without a copy. So a new sequence starts in the middle of the longest empty run,
        which leaves room to grow for both sides.
        """
        if count > self.free:
            raise ValueError(f"count = {count}: only {self.free} blocks are free; release some first")
        taken: list[int] = []
        following = 0 if behind is None else behind + 1
        while len(taken) < count and self._empties:
            if not (following < self.count and self._empty[following]):
                following = self._roomy(count - len(taken))
            self._empty[following] = False
            self._empties -= 1
            taken.append(following)
            following += 1
        taken += sorted(self._evict() for _ in range(count - len(taken)))
        for block in taken:
            self._owners[block] = 1
        return taken

    def share(self, digest: bytes) -> int | None:
        """One more owner for the block that holds this; None where none does."""
        block = self._found.get(digest)
        if block is not None:
            self._owners[block] += 1
            self._left.pop(block, None)
        return block

    def keep(self, block: int, digest: bytes) -> None:
        """A block is full: it can be found by its digest, unless another holds the same."""
        if self._found.setdefault(digest, block) == block:
            self._digests[block] = digest

    def release(self, blocks: Sequence[int], forget: bool = False) -> None:
        """One owner less each; `forget`: what nobody else owns is not worth keeping.

        The last of a sequence counts as left first: its beginning is what others may have in common.
        """
        for block in reversed(blocks):
            self._owners[block] -= 1
            if self._owners[block]:
                continue
            if self._digests[block] is not None and not forget:
                self._left[block] = None
                continue
            self._forget(block)
            self._empty[block] = True
            self._empties += 1

    def _evict(self) -> int:
        block, _ = self._left.popitem(last=False)
        self._forget(block)
        return block

    def _forget(self, block: int) -> None:
        if (digest := self._digests[block]) is not None:
            del self._found[digest]
            self._digests[block] = None

    def _roomy(self, count: int) -> int:
        """Where the longest run of empty blocks, or its second half if `count` fit there, begins."""
        edges = np.flatnonzero(np.diff(self._empty, prepend=False, append=False))
        lengths = edges[1::2] - edges[::2]
        longest = int(lengths.argmax())
        start, half = int(edges[2 * longest]), int(lengths[longest]) // 2
        return start + half if start and half >= count else start
