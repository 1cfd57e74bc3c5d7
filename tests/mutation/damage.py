"""Random damage to bytes and to JSON values. All of it follows from the generator."""

import copy
import random
from collections.abc import Callable
from typing import Any

WORDS = (
    "", " ", "a" * 5000, "../../secret.txt", "/etc/passwd", "http://127.0.0.1:9/x.png", "file:///etc/passwd",
    "data:image/png;base64,AAAA", "<image>", "<image>\n<image>", "<video>", "<|im_end|>", "\0", "\ud800",
    "\x1b[31m", "NaN", "-1", "subfile,,start,0,end,0,,:/etc/passwd", "concat:a|b", "%s%n", "{0}",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, -(2**63), 10**30, 1e308, -0.0, float("nan"), float("inf"), 0.5)
OTHERS = (None, True, False, [], {}, [[]], [None], {"a": {}}, [[[[[[0]]]]]], ["a", 1, None])


def damage_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to four accidents: bits, runs, cuts, insertions, fields at their limits, swapped parts."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not damaged:
            break
        rng.choice(_ACCIDENTS)(damaged, rng)
    return bytes(damaged)


def _flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    for at in range(start, min(len(data), start + rng.randint(1, 16))):
        data[at] = rng.randrange(256)


def _limit(data: bytearray, rng: random.Random) -> None:
    """A field of four bytes at one of its limits: sizes and counts live in such."""
    start = rng.randrange(max(1, len(data) - 4))
    data[start : start + 4] = rng.choice(
        (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0")
    )


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, max(1, len(data) // 8))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randint(1, 64)]
    at = rng.randrange(len(data))
    data[at:at] = piece * rng.randint(1, 4)


def _swap(data: bytearray, rng: random.Random) -> None:
    size = rng.randint(1, 32)
    a, b = rng.randrange(len(data)), rng.randrange(len(data))
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def _head(data: bytearray, rng: random.Random) -> None:
    """Headers decide most: damage among the first bytes."""
    data[rng.randrange(min(64, len(data)))] = rng.randrange(256)


_ACCIDENTS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _overwrite, _limit, _cut, _remove, _repeat, _swap, _head,
)  # fmt: skip


def damage_json(value: Any, rng: random.Random) -> Any:
    """A copy with one to three accidents: values of other kinds, keys lost, renamed, moved, nested."""
    damaged = [copy.deepcopy(value)]  # in a list, so that the whole can be replaced, too
    for _ in range(rng.randint(1, 3)):
        holder, key = rng.choice(list(_places(damaged)))
        _accident(holder, key, rng)
    return damaged[0]


def _places(value: Any) -> Any:
    """Every (container, key) below a value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def odd(rng: random.Random) -> Any:
    """A value of any kind."""
    return copy.deepcopy(rng.choice(rng.choice((WORDS, NUMBERS, OTHERS))))


def _accident(holder: Any, key: Any, rng: random.Random) -> None:
    kind = rng.randrange(5 if isinstance(holder, dict) else 3)
    if kind == 0 or (kind == 4 and len(holder) < 2):
        holder[key] = odd(rng)
    elif kind == 1:
        holder[key] = [holder[key]] * rng.randint(1, 3)
    elif kind == 2:
        holder[key] = {rng.choice(("a", "image", "value", str(key))): holder[key]}
    elif kind == 3:
        holder[rng.choice((f"{key}s", str(key).upper(), f"{key}_path", " "))] = holder.pop(key)
    else:
        del holder[key]
