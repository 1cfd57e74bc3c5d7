"""Records that are there twice: the same, or nearly the same words about the same pictures.

Every record leaves 64 bits of its content and a MinHash signature of 32 x 16 bits (Broder 1997) on disk.
Equal keys are found in parts of bounded size, so memory doesn't grow with the number of records.

The library for it is datasketch 2.0. Measured on 4,000 records of 200 words, one core: a signature takes it
0.37 ms (here 0.11), finding the pairs 21 us a record (here 0.6), and its index holds 3.0 kB a record in
memory (here 64 bytes on disk). Delete this when a library finds pairs on disk, in memory that stays bounded.
"""

import hashlib
import re
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.chat.message import Conversation, Text

HASHES = 32
"""MinHashes of a record; an estimate of a similarity of 0.8 is off by 0.07."""
BANDS = 8
"""Records are compared when four neighbouring MinHashes agree: 98 % of the pairs that are 0.8 alike."""
SIMILAR = 0.8
"""From this share of word triples in common (Jaccard) two records are nearly the same."""
AT_A_TIME = 1 << 20
"""Records whose keys are in memory at a time, some 40 bytes each."""
WORDS_AT_A_TIME = 4096

# A Han character, a kana or a syllable of Hangul counts as a word: there are no spaces to go by.
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_RANDOM = np.random.default_rng(20260914)
_FACTORS = _RANDOM.integers(1, 2**63, HASHES, dtype=np.uint64) * 2 + 1
_SEEDS = _RANDOM.integers(0, 2**64, HASHES, dtype=np.uint64)
_MIXING = np.array([[30, 0xBF58476D1CE4E5B9], [27, 0x94D049BB133111EB]], dtype=np.uint64)
_SPREAD = 0x9E3779B97F4A7C15


def content_key(conversation: Conversation, media: bytes) -> int:
    """64 bits of roles, texts and pictures; never 0, which stands for no record."""
    digest = hashlib.blake2b(media, digest_size=8)
    for message in (*conversation.messages, *conversation.alternatives):
        digest.update(f"\0{message.role}\0".encode())
        for part in message.parts:
            digest.update(part.text.encode() if isinstance(part, Text) else b"\1")
    return int.from_bytes(digest.digest(), "little") or 1


def id_key(record: object) -> int:
    """64 bits of a record's id; 0 when it has none."""
    value: Any = record.get("id") if isinstance(record, dict) else None
    if value is None or isinstance(value, dict | list):
        return 0
    digest = hashlib.blake2b(repr(value).encode("utf-8", "backslashreplace"), digest_size=8)
    return int.from_bytes(digest.digest(), "little") or 1


def signature(conversation: Conversation, media: bytes) -> NDArray[np.uint16]:
    """uint16 [32]: MinHashes of the triples of words; other pictures give other hashes."""
    said = (*conversation.messages, *conversation.alternatives)
    text = "\n".join(message.text for message in said).lower()
    words = _mix(
        np.array([zlib.crc32(word.encode()) for word in _WORD.findall(text)] or [0], dtype=np.uint64)
    )
    triple = min(3, len(words))
    count = len(words) - triple + 1
    shingles = np.full(count, zlib.crc32(media), dtype=np.uint64)
    for place in range(triple):
        shingles = _mix(shingles + words[place : place + count])
    least = np.full(HASHES, 2**64 - 1, dtype=np.uint64)
    for start in range(0, count, WORDS_AT_A_TIME):
        block = (shingles[start : start + WORDS_AT_A_TIME, None] ^ _SEEDS) * _FACTORS
        np.minimum(least, (block ^ (block >> 32)).min(axis=0), out=least)
    mixed = _mix(least)  # the least of many is small: its high bits would say little
    return (mixed >> 48).astype(np.uint16)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash of 64 bits (the finaliser of splitmix64); CRC-32 alone is linear and would favour some words."""
    for shift, factor in _MIXING:
        values = (values ^ (values >> shift)) * factor
    return values ^ (values >> np.uint64(31))


def repeats(keys: NDArray[np.uint64], at_a_time: int | None = None) -> Iterator[tuple[Any, Any]]:
    """(records, the first record with the same key) of all records that an earlier one equals; key 0 is none.

    keys: uint64 [N], may be memory-mapped. Yields pairs of int64 arrays, part by part.
    """
    at_a_time = at_a_time or AT_A_TIME
    parts = max(1, -(-len(keys) // at_a_time))
    for part in range(parts):
        starts = range(0, max(1, len(keys)), at_a_time)
        where = np.concatenate([_members(keys, start, at_a_time, part, parts) for start in starts])
        values = keys[where]
        order = np.argsort(values, kind="stable")
        where, values = where[order], values[order]
        new = np.ones(len(values), dtype=bool)
        new[1:] = values[1:] != values[:-1]
        firsts = where[new][np.cumsum(new) - 1]
        yield where[~new], firsts[~new]


def _members(keys: NDArray[np.uint64], start: int, size: int, part: int, parts: int) -> NDArray[np.int64]:
    """Numbers of the records of a block whose key belongs to a part."""
    block = np.asarray(keys[start : start + size])
    mine = (block * _SPREAD >> 32) % parts == part
    return (start + np.flatnonzero(mine & (block != 0))).astype(np.int64)


def mark_exact(content: NDArray[np.uint64], same_as: NDArray[np.int64]) -> int:
    """Write into `same_as` [N] the earlier record that each equals (-1: none); the number of repeats."""
    found = 0
    same_as[:] = -1
    for records, firsts in repeats(content):
        same_as[records] = firsts
        found += len(records)
    return found


def mark_near(
    signatures: NDArray[np.uint16],
    content: NDArray[np.uint64],
    same_as: NDArray[np.int64],
    near_to: NDArray[np.int64],
) -> int:
    """Write into `near_to` [N] an earlier record that is at least SIMILAR (-1: none); the number of these.

    signatures: uint16 [N, 32]. Records without content, and those that repeat exactly, are left out. Of the
    records that share a band only the first is compared with the others.
    """
    near_to[:] = -1
    bands = signatures.view(np.uint64)
    for band in range(BANDS):
        for records, firsts in repeats(bands[:, band]):
            free = (near_to[records] < 0) & (same_as[records] < 0)
            pairs = np.stack([records, firsts])[:, free & (content[records] != 0) & (content[firsts] != 0)]
            for start in range(0, pairs.shape[1], AT_A_TIME // 16):
                some, first = pairs[:, start : start + AT_A_TIME // 16]
                alike = (signatures[some] == signatures[first]).mean(axis=1) >= SIMILAR
                near_to[some[alike]] = first[alike]
    return int(np.count_nonzero(near_to >= 0))
