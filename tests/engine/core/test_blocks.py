"""Blocks: side by side where possible, shared by content, and what was left longest ago goes first."""

from __future__ import annotations

import pytest

from tessera.engine.core.blocks import Blocks
from tessera.nn.attention.cache import runs_of


def test_sequences_grow_side_by_side() -> None:
    """Neighbours are read without a copy; room between sequences lets both go on."""
    blocks = Blocks(64, 16)
    first, second = blocks.take(5), blocks.take(3)
    for table in (first, second):
        for _ in range(10):
            table += blocks.take(1, table[-1])
        assert table == list(range(table[0], table[0] + len(table)))
    assert first[0] == 0 and not set(first) & set(second) and blocks.free == 64 - 28
    assert runs_of(first, 3, 200, 16) == [(3, 197)]
    assert runs_of((3, 1, 2), 0, 40, 16) == [(48, 16), (16, 24)]
    assert runs_of((3, 1, 2), 17, 18, 16) == [(17, 1)]


def test_taking_all_and_giving_all_back() -> None:
    blocks = Blocks(7, 4)
    tables = [blocks.take(2), blocks.take(3), blocks.take(2)]
    assert sorted(sum(tables, [])) == list(range(7)) and blocks.free == 0
    with pytest.raises(ValueError, match="count = 1: only 0 blocks are free"):
        blocks.take(1)
    for table in tables:
        blocks.release(table)
    assert blocks.free == 7 and blocks.take(7) == list(range(7))


def test_content_is_found_until_its_room_is_needed() -> None:
    blocks = Blocks(4, 4)
    table = blocks.take(3)
    for number, block in enumerate(table):
        blocks.keep(block, bytes([number]))
    assert blocks.share(b"\x00") == table[0] and blocks.share(b"\x09") is None
    blocks.release(table)
    assert blocks.free == 3, "one owner is left of the first"
    blocks.release(table[:1])
    assert blocks.free == 4 and [blocks.share(bytes([n])) for n in range(3)] == table
    blocks.release(table)
    taken = blocks.take(2)
    assert blocks.share(b"\x02") is None, "the empty one, then the last of the sequence"
    assert blocks.share(b"\x00") == table[0] and blocks.share(b"\x01") == table[1]
    blocks.release([*taken, *table[:2]])


def test_the_same_content_twice_and_content_not_worth_keeping() -> None:
    blocks = Blocks(4, 4)
    first, second = blocks.take(1), blocks.take(1)
    blocks.keep(first[0], b"same")
    blocks.keep(second[0], b"same")
    blocks.release(second)
    blocks.release(first, forget=True)
    assert blocks.share(b"same") is None and blocks.free == 4
    third = blocks.take(1)
    blocks.keep(third[0], b"same")
    shared = blocks.share(b"same")
    blocks.release(third, forget=True)
    assert shared == third[0] and blocks.share(b"same") == shared, "another owner still has it"
