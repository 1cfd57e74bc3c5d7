"""Our one-pass rendering against the official rules written down a second time, on strings."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tessera.chat.render import MediaSpan, render
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tests.chat.cases import CONVERSATIONS, PAIRS, as_conversation
from tests.chat.official import IGNORE, load_official, preprocess

ALPHABET = ["a", "cat", " ", "  ", "9", "12", ".", "'s", "é", "猫", "🙂", "<", ">", "user", "XXXXXXXXXXX"]
ALPHABET += ["<ref>", "</ref>", "<box>", "[[1, 2]]", "<quad>"]
ALPHABET += ["|", "\n", "\n\n", "\t", "\r\n", "ß\u0301", "\u2581"]


def compare(name: str, tokenizer: Tokenizer, kind: str, root: Path, turns: list[tuple[str, str]]) -> None:
    marks = sum(text.count("<image>") for role, text in turns if role == "user")
    tiles = [1 + i % 3 for i in range(marks)]
    encode, bos = load_official(kind, root)
    ids, labels = preprocess(name, turns, encode, bos, tiles, 3)
    rendered = render(as_conversation(turns), TEMPLATES[name], tokenizer, [MediaSpan((t,)) for t in tiles], 3)
    assert rendered.ids == ids
    weights = rendered.arrays()[1]
    assert [int(w) for w in weights] == [int(label != IGNORE) for label in labels]


@pytest.mark.parametrize("key", CONVERSATIONS)
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_ids_and_masks_equal_the_official_ones(
    name: str, kind: str, key: str, real_tokenizer: Callable[[str], Tokenizer], shared_data: Path
) -> None:
    compare(name, real_tokenizer(kind), kind, shared_data / "tokenizers", CONVERSATIONS[key])


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_random_conversations(
    name: str, kind: str, real_tokenizer: Callable[[str], Tokenizer], shared_data: Path
) -> None:
    """Text of awkward pieces: white space at the edges, grounding marks, broken special strings."""
    rng = random.Random(name + kind)
    encode, bos = load_official(kind, shared_data / "tokenizers")
    for _ in range(25):
        turns = []
        for _ in range(rng.randint(1, 3)):
            question = "".join(rng.choices([*ALPHABET, "<image>"], k=rng.randint(1, 9)))
            answer = "".join(rng.choices(ALPHABET, k=rng.randint(0, 9))) + "w"
            turns += [("user", question), ("assistant", answer)]
        marks = sum(text.count("<image>") for _, text in turns)
        ids, labels = preprocess(name, turns, encode, bos, [1] * marks, 2)
        rendered = render(
            as_conversation(turns), TEMPLATES[name], real_tokenizer(kind), [MediaSpan((1,))] * marks, 2
        )
        assert rendered.ids == ids, turns
        assert [int(w) for w in rendered.arrays()[1]] == [int(label != IGNORE) for label in labels], turns
