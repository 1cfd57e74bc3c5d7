"""Golden ids of every template with the real tokenizers (made by tests/golden/make_chat.py)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tessera.chat.cards import from_card_call
from tessera.chat.message import Conversation, say
from tessera.chat.render import MediaSpan, Rendered, render
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tests.chat.cases import CASES, PAIRS, as_conversation

Get = Callable[[str], Tokenizer]


def expand(runs: list[Any]) -> list[int]:
    return [i for run in runs for i in ([run[0]] * run[1] if isinstance(run, list) else [run])]


def rendered(
    conversation: Conversation, case: dict[str, Any], name: str, tokenizer: Tokenizer, per_tile: int
) -> Rendered:
    spans, generate = [MediaSpan((t,)) for t in case["tiles"]], case["path"] == "generate"
    return render(conversation, TEMPLATES[name], tokenizer, spans, per_tile, case["system"], generate)


def golden(repo_root: Path, name: str, kind: str) -> dict[str, Any]:
    path = repo_root / "tests" / "golden" / "chat" / f"{name}__{kind}.json"
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_golden_ids(name: str, kind: str, real_tokenizer: Get, repo_root: Path) -> None:
    file = golden(repo_root, name, kind)
    assert [case["key"] for case in file["cases"]] == [case.key for case in CASES]
    for case in file["cases"]:
        assert case["rule"] in file["rules"]
        conversation = as_conversation([tuple(turn) for turn in case["turns"]])
        found = rendered(conversation, case, name, real_tokenizer(kind), file["per_tile"])
        assert found.ids == expand(case["ids"]), case["key"]
        trained = [] if case["path"] == "generate" else case["trained"]
        weights = found.arrays()[1] if trained else np.zeros(0)
        assert np.flatnonzero(weights).tolist() == trained, case["key"]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_golden_ids_through_the_cards_call(
    name: str, kind: str, real_tokenizer: Get, repo_root: Path
) -> None:
    """`chat(question, history, num_patches_list)` of the model cards, system text by config or by message."""
    file = golden(repo_root, name, kind)
    for case in (case for case in file["cases"] if case["path"] == "generate"):
        *past, (_, question) = case["turns"]
        history = [(past[i][1], past[i + 1][1]) for i in range(0, len(past), 2)]
        pictures = ["picture"] * len(case["tiles"])
        talk = from_card_call(question, pictures, history or None, case["tiles"])
        found = rendered(talk, case, name, real_tokenizer(kind), file["per_tile"])
        assert found.ids == expand(case["ids"]), case["key"]
        if case["system"] is not None:
            talk = Conversation((say("system", case["system"]), *talk.messages))
            again = rendered(
                talk, case | {"system": "not this"}, name, real_tokenizer(kind), file["per_tile"]
            )
            assert again.ids == found.ids
