"""Packs filled exactly: each begins with the hardest item or with random ones, and shelves fill the rest.

Items are shelved by *grade*, their size in the scarcer resource: the number of tiles itself, or tokens in
64ths of a pack. Which grades add up to the room is a subset sum over small numbers, so it is remembered for
each set of grades in stock; the other resource decides which item of a grade is taken.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TILES_FIRST = 0.9
"""Tiles are graded from this share of the tokens' scarcity on: tokens are finer, and follow well."""
MOST_TILE_GRADES = 512
"""Above this many tiles a pack, tiles are graded no longer one by one: tokens decide."""
TOKEN_GRADES = 64
"""Steps in which tokens are graded when they are the scarcer resource."""
MOST_TRIES = 64
"""Items of a token grade that are tried for one with few enough tiles."""
_BEYOND = 1 << 62


def shelve(
    tokens: NDArray[np.int64], tiles: NDArray[np.int64], max_tokens: int, max_tiles: int
) -> "_Shelves":
    """Items on shelves by the resource of which all together fill more packs."""
    scarce = tiles.sum() * max_tokens >= TILES_FIRST * tokens.sum() * max_tiles
    if scarce and max_tiles <= MOST_TILE_GRADES:
        return _TileShelves(tokens, tiles)
    return _TokenShelves(tokens, tiles, max_tokens)


class _Sums:
    """Largest sums of grades in stock, each grade as often as one likes."""

    def __init__(self) -> None:
        self._reach: dict[tuple[int, int], int] = {}
        self._first: dict[tuple[int, int], int] = {}

    def first(self, room: int, stock: int) -> int:
        """The largest grade of a combination with the largest sum up to `room`; 0 when none fits.

        stock: bit g is set when grade g is there.
        """
        # Grades above the room can't help, and grade 0 takes none of it.
        stock &= (2 << room) - 2
        largest = stock.bit_length() - 1
        # It fills the room alone, or ones fill every rest.
        if largest == room or stock & 2:
            return max(largest, 0)
        known = self._first.get((room, stock))
        if known is None:
            known = self._first[room, stock] = self._search(room, stock)
        return known

    def _search(self, room: int, stock: int) -> int:
        if not stock:
            return 0
        limit = (2 << room) - 1
        reach = 1
        for grade in _bits(stock):
            step = grade
            while step <= room:  # copies of a grade by doubling: 1, 2, 4 of it
                reach |= reach << step & limit
                step *= 2
        top = reach.bit_length() - 1
        return next((g for g in reversed(_bits(stock)) if g <= top and reach >> (top - g) & 1), 0)


def _bits(stock: int) -> list[int]:
    return [grade for grade in range(1, stock.bit_length()) if stock >> grade & 1]


class _Shelves:
    """Items by grade; inside a grade ascending by tokens as (tokens, item)."""

    def __init__(
        self, grades: NDArray[np.int64], tokens: NDArray[np.int64], tiles: NDArray[np.int64]
    ) -> None:
        self._shelf: list[list[tuple[int, int]]] = [[] for _ in range(int(grades.max()) + 1)]
        order = np.lexsort((tokens, grades))
        for grade, size, item in zip(
            grades[order].tolist(), tokens[order].tolist(), order.tolist(), strict=True
        ):
            self._shelf[grade].append((size, item))
        self._grades, self._tokens, self._tiles = grades.tolist(), tokens.tolist(), tiles.tolist()
        self._gone = bytearray(len(tokens))
        self._sums = _Sums()
        self._stocked = sum(1 << grade for grade, items in enumerate(self._shelf) if items)

    def pack_all(
        self, max_tokens: int, max_tiles: int, order: Sequence[int] = (), exact: float = 1.0
    ) -> list[list[int]]:
        """All items in packs; the shelves are empty then.

        order: all items as they begin packs, which are filled exactly from the share `1 - exact` on. Without
        it the hardest item begins.
        """
        queue, packs = list(reversed(order)), []
        while self._stocked:
            pack = self._begin(queue, int(max_tokens * (1 - exact)), int(max_tiles * (1 - exact)))
            token_room = max_tokens - sum(map(self._tokens.__getitem__, pack))
            tile_room = max_tiles - sum(map(self._tiles.__getitem__, pack))
            while found := self._take_next(token_room, tile_room):
                size, item = found
                pack.append(item)
                token_room, tile_room = token_room - size, tile_room - self._tiles[item]
            self._take_rest(pack, token_room)
            packs.append(pack)
        return packs

    def _begin(self, queue: list[int], token_room: int, tile_room: int) -> list[int]:
        """The first items of a pack: from the end of the queue, one at least, or the hardest of all."""
        pack: list[int] = []
        while queue:
            item = queue[-1]
            if not self._gone[item]:
                size = self._tokens[item]
                if pack and (size > token_room or self._tiles[item] > tile_room):
                    break
                grade = self._grades[item]
                pack.append(self._take(grade, bisect_left(self._shelf[grade], (size, item)))[1])
                token_room, tile_room = token_room - size, tile_room - self._tiles[item]
            queue.pop()
        return pack or [self._take(self._stocked.bit_length() - 1, -1)[1]]

    def _take(self, grade: int, at: int) -> tuple[int, int]:
        """Remove an item: (tokens, item)."""
        shelf = self._shelf[grade]
        found = shelf.pop(at)
        self._gone[found[1]] = True
        if not shelf:
            self._stocked &= ~(1 << grade)
        return found

    def _take_next(self, token_room: int, tile_room: int) -> tuple[int, int] | None:
        """The item that fills the scarcer resource best; None when no such item fits."""
        raise NotImplementedError

    def _take_rest(self, pack: list[int], token_room: int) -> None:
        """Add what the other resource still has room for."""


class _TileShelves(_Shelves):
    """Tiles are scarce: a grade is a number of tiles, and text fills what is left of the tokens."""

    def __init__(self, tokens: NDArray[np.int64], tiles: NDArray[np.int64]) -> None:
        super().__init__(tiles, tokens, tiles)

    def _take_rest(self, pack: list[int], token_room: int) -> None:
        # Items without tiles come last: they fit whatever tiles are left.
        text = self._shelf[0]
        while text and (at := bisect_right(text, (token_room, _BEYOND))):
            size, item = self._take(0, at - 1)
            pack.append(item)
            token_room -= size

    def _take_next(self, token_room: int, tile_room: int) -> tuple[int, int] | None:
        """The longest fitting item of the grade that helps to fill the tiles."""
        stock = self._stocked
        while grade := self._sums.first(tile_room, stock):
            shelf = self._shelf[grade]
            # Both rooms are to run out together: no more tokens for a tile than the pack has left for each.
            pace = token_room * grade // tile_room
            at = max(bisect_right(shelf, (pace, _BEYOND)), 1)
            if shelf[at - 1][0] <= token_room:
                return self._take(grade, at - 1)
            stock &= ~(1 << grade)
        return None


class _TokenShelves(_Shelves):
    """Tokens are scarce: a grade is a 64th of a pack, rounded up."""

    def __init__(self, tokens: NDArray[np.int64], tiles: NDArray[np.int64], max_tokens: int) -> None:
        self._step = -(-max_tokens // TOKEN_GRADES)
        super().__init__(-(-tokens // self._step), tokens, tiles)

    def _take_next(self, token_room: int, tile_room: int) -> tuple[int, int] | None:
        """An item of the grade that helps to fill the tokens; near the end the longest that fits."""
        stock = self._stocked
        room = token_room // self._step
        # One grade more may still fit: grades are rounded up.
        if stock >> room + 1 & 1 and (found := self._longest(room + 1, token_room, tile_room)):
            return found
        while grade := self._sums.first(room, stock):
            if found := self._longest(grade, token_room, tile_room):
                return found
            stock &= ~(1 << grade)
        return None

    def _longest(self, grade: int, token_room: int, tile_room: int) -> tuple[int, int] | None:
        shelf = self._shelf[grade]
        at = bisect_right(shelf, (token_room, _BEYOND))
        # Longest first. A few tries are enough: tiles, the richer resource, seldom refuse.
        for place in range(at - 1, max(-1, at - 1 - MOST_TRIES), -1):
            if self._tiles[shelf[place][1]] <= tile_room:
                return self._take(grade, place)
        return None
