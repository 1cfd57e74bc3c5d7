"""Our one-pass rendering against the official rules written down a second time, on strings."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tessera.chat.render import MediaSpan, render
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tests.chat.cases import CASES, PAIRS, Case, as_conversation
from tests.chat.official import IGNORE, inference, load_official, preprocess

ALPHABET = ["a", "cat", " ", "  ", "9", "12", ".", "'s", "é", "猫", "🙂", "<", ">", "user", "XXXXXXXXXXX"]
ALPHABET += ["<ref>", "</ref>", "<box>", "[[1, 2]]", "<quad>"]
ALPHABET += ["|", "\n", "\n\n", "\t", "\r\n", "ß\u0301", "\u2581"]


def compare(case: Case, name: str, kind: str, tokenizer: Tokenizer, root: Path) -> None:
    encode, bos = load_official(kind, root)
    spans, generate = [MediaSpan((t,)) for t in case.tiles], case.path == "generate"
    conversation = as_conversation(case.turns)
    rendered = render(conversation, TEMPLATES[name], tokenizer, spans, 3, case.system, generate)
    if generate:
        assert rendered.ids == inference(name, case.turns, encode, bos, case.tiles, 3, case.system)
        return
    ids, labels = preprocess(name, case.turns, encode, bos, case.tiles, 3, case.system)
    assert rendered.ids == ids
    assert [int(w) for w in rendered.arrays()[1]] == [int(label != IGNORE) for label in labels]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_ids_and_masks_equal_the_official_ones(
    name: str, kind: str, case: Case, real_tokenizer: Callable[[str], Tokenizer], shared_data: Path
) -> None:
    compare(case, name, kind, real_tokenizer(kind), shared_data / "tokenizers")


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
        asked = turns[:-1]
        found = render(
            as_conversation(asked),
            TEMPLATES[name],
            real_tokenizer(kind),
            [MediaSpan((1,))] * marks,
            2,
            generate=True,
        )
        assert found.ids == inference(name, asked, encode, bos, [1] * marks, 2), asked
