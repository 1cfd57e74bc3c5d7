"""Keys, signatures and their matching, against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.chat.message import Conversation, say
from tessera.curation.duplicates import content_key, id_key, mark_exact, mark_near, repeats, signature


def talk(*texts: str) -> Conversation:
    roles = ("user", "assistant")
    return Conversation(tuple(say(roles[n % 2], text) for n, text in enumerate(texts)))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=40), st.integers(1, 50))
def test_repeats_are_those_of_a_dictionary(keys: list[int], at_a_time: int) -> None:
    firsts: dict[int, int] = {}
    expected = {n: firsts[k] for n, k in enumerate(keys) if k and firsts.setdefault(k, n) != n}
    found: dict[int, int] = {}
    for records, first in repeats(np.array(keys, dtype=np.uint64), at_a_time):
        found.update(zip(records.tolist(), first.tolist(), strict=True))
    assert found == expected


def test_content_tells_roles_texts_and_pictures_apart() -> None:
    base = content_key(talk("a", "b"), b"")
    assert content_key(talk("a", "b"), b"") == base
    others = {
        content_key(talk("ab", ""), b""),
        content_key(talk("a", "b"), b"x"),
        content_key(talk("a", "b", ""), b""),
    }
    assert len(others | {base}) == 4


def test_ids_of_records() -> None:
    assert id_key({"id": 1}) == id_key({"id": 1}) != id_key({"id": "1"})
    assert id_key({}) == id_key([1]) == id_key({"id": None}) == id_key({"id": {"a": 1}}) == 0


def jaccard(a: str, b: str) -> float:
    sets = [{tuple(words[n : n + 3]) for n in range(len(words) - 2)} for words in (a.split(), b.split())]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize("changed", [0, 2, 10, 40, 100])
def test_signatures_estimate_the_similarity_of_word_triples(changed: int) -> None:
    rng = np.random.default_rng(changed)
    errors = []
    for _ in range(30):
        words = [f"w{n}" for n in rng.integers(0, 5000, 200)]
        other = [f"v{rng.integers(9**9)}" if n < changed else word for n, word in enumerate(words)]
        a, b = " ".join(words), " ".join(other)
        agree = float((signature(talk(a), b"") == signature(talk(b), b"")).mean())
        errors.append(agree - jaccard(a, b))
    assert abs(np.mean(errors)) < 0.03
    assert np.max(np.abs(errors)) < 0.33


def test_other_pictures_and_other_texts_have_other_signatures() -> None:
    text = "a sentence of several words that is long enough to have triples"
    same = signature(talk(text), b"one")
    assert (same == signature(talk(text), b"two")).mean() < 0.1
    assert (
        same == signature(talk("nothing of that stands in this other sentence at all"), b"one")
    ).mean() < 0.1
    chinese = signature(talk("今天天气很好我们一起去公园散步吧"), b"")
    assert (chinese == signature(talk("今天天气很好我们一起去公园散步吗"), b"")).mean() > 0.6


def test_near_duplicates_are_marked_once_and_exact_ones_left_out(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(150)]
    texts = [" ".join(words), " ".join([*words, "more"]), " ".join(words), " ".join(reversed(words)), ""]
    content = np.array([content_key(talk(text), b"") for text in texts], dtype=np.uint64)
    content[4] = 0  # a faulty record
    signatures = np.stack([signature(talk(text), b"") for text in texts])
    same_as, near_to = np.zeros(5, dtype=np.int64), np.zeros(5, dtype=np.int64)
    assert mark_exact(content, same_as) == 1 and same_as.tolist() == [-1, -1, 0, -1, -1]
    assert mark_near(signatures, content, same_as, near_to) == 1 and near_to.tolist() == [-1, 0, -1, -1, -1]
