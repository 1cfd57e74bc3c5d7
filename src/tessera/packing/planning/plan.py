"""Which samples share a pack: tokens and tiles as two capacities, decided on counts alone.

Per pack the hardest item is placed first and the room of the scarcer resource is filled exactly where it can
be. Items are shelved by *grade*, their size in the scarcer resource: the number of tiles itself, or tokens
in 256ths of a pack. Which grades add up to the room is a subset sum over small numbers, so it is
remembered for each set of grades in stock; the other resource decides which item of a grade is taken.
"""

from bisect import bisect_right

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOKEN_GRADES = 256
"""Steps in which tokens are graded when they are the scarcer resource."""
MOST_TILE_GRADES = 512
"""Above this many tiles a pack, tiles are graded no longer one by one: tokens decide."""
MOST_TRIES = 64
"""Items of a token grade that are tried for one with few enough tiles."""
_BEYOND = 1 << 62


def plan_packs(
    tokens: ArrayLike, tiles: ArrayLike, max_tokens: int, max_tiles: int, opener: int | None = None
) -> list[list[int]]:
    """Every item in exactly one pack, no pack over either capacity: lists of item numbers.

    tokens, tiles: int [N], sizes of the items. opener: the item that opens the first pack. Pure and
    deterministic. ValueError naming the first item that no pack can hold.
    """
    t, v = np.asarray(tokens, dtype=np.int64), np.asarray(tiles, dtype=np.int64)
    _check(t, v, max_tokens, max_tiles)
    if not len(t):
        return []
    # Scarcer is the resource of which all items together fill more packs.
    by_tiles = max_tiles <= MOST_TILE_GRADES and v.sum() * max_tokens >= t.sum() * max_tiles
    shelves = _TileShelves(t, v) if by_tiles else _TokenShelves(t, v, max_tokens)
    packs = [] if opener is None else [shelves.fill(shelves.take_item(opener), max_tokens, max_tiles)]
    while shelves.stocked:
        packs.append(shelves.fill(shelves.take_hardest(), max_tokens, max_tiles))
    return packs


def _check(t: NDArray[np.int64], v: NDArray[np.int64], max_tokens: int, max_tiles: int) -> None:
    if t.shape != v.shape or t.ndim != 1:
        raise ValueError(f"tokens {t.shape}, tiles {v.shape}: give two lists of one length")
    wrong = np.flatnonzero((t > max_tokens) | (v > max_tiles) | (t < 1) | (v < 0))
    if len(wrong):
        item = int(wrong[0])
        raise ValueError(
            f"item {item}: {t[item]} tokens and {v[item]} tiles don't fit a pack of {max_tokens} tokens and "
            f"{max_tiles} tiles; raise them or apply an over-long policy first"
        )


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
        if stock & 2:  # ones fill every rest
            return stock.bit_length() - 1
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
        order = np.lexsort((tiles, tokens, grades))
        for grade, size, item in zip(
            grades[order].tolist(), tokens[order].tolist(), order.tolist(), strict=True
        ):
            self._shelf[grade].append((size, item))
        self._grades, self._tokens, self._tiles = grades.tolist(), tokens.tolist(), tiles.tolist()
        self._sums = _Sums()
        self.stocked = sum(1 << grade for grade, items in enumerate(self._shelf) if items)

    def _take(self, grade: int, at: int) -> tuple[int, int]:
        """Remove an item: (tokens, item)."""
        shelf = self._shelf[grade]
        found = shelf.pop(at)
        if not shelf:
            self.stocked &= ~(1 << grade)
        return found

    def take_hardest(self) -> tuple[int, int]:
        """Remove the item of highest grade, the longest of them: (tokens, item)."""
        return self._take(self.stocked.bit_length() - 1, -1)

    def take_item(self, item: int) -> tuple[int, int]:
        """Remove a given item: (tokens, item)."""
        grade = self._grades[item]
        return self._take(grade, self._shelf[grade].index((self._tokens[item], item)))

    def fill(self, opener: tuple[int, int], token_room: int, tile_room: int) -> list[int]:
        """One pack that holds the opener, which has left its shelf."""
        pack, tiles, take_next = [], self._tiles, self._take_next
        found: tuple[int, int] | None = opener
        while found is not None:
            size, item = found
            pack.append(item)
            token_room, tile_room = token_room - size, tile_room - tiles[item]
            found = take_next(token_room, tile_room)
        self._take_rest(pack, token_room)
        return pack

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
        stock = self.stocked
        while grade := self._sums.first(tile_room, stock):
            at = bisect_right(self._shelf[grade], (token_room, _BEYOND))
            if at:
                return self._take(grade, at - 1)
            stock &= ~(1 << grade)
        return None


class _TokenShelves(_Shelves):
    """Tokens are scarce: a grade is a 256th of a pack, rounded up."""

    def __init__(self, tokens: NDArray[np.int64], tiles: NDArray[np.int64], max_tokens: int) -> None:
        self._step = -(-max_tokens // TOKEN_GRADES)
        super().__init__(-(-tokens // self._step), tokens, tiles)

    def _take_next(self, token_room: int, tile_room: int) -> tuple[int, int] | None:
        """An item of the grade that helps to fill the tokens; near the end the longest that fits."""
        stock = self.stocked
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


def least_packs(tokens: int, tiles: int, max_tokens: int, max_tiles: int) -> int:
    """Fewer packs can't hold so many tokens and tiles."""
    return max(-(-tokens // max_tokens), -(-tiles // max_tiles) if max_tiles else 0)
