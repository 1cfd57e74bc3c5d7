"""Golden ids of every template with the real tokenizers (made by tests/golden/make_chat.py)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tessera.chat.render import MediaSpan, render
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tests.chat.cases import PAIRS, as_conversation


def expand(runs: list[Any]) -> list[int]:
    return [i for run in runs for i in ([run[0]] * run[1] if isinstance(run, list) else [run])]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_golden_ids(
    name: str, kind: str, real_tokenizer: Callable[[str], Tokenizer], repo_root: Path
) -> None:
    path = repo_root / "tests" / "golden" / "chat" / f"{name}__{kind}.json"
    golden = json.loads(path.read_text(encoding="utf-8"))
    for case in golden["cases"]:
        conversation = as_conversation([tuple(turn) for turn in case["turns"]])
        spans = [MediaSpan((t,)) for t in case["tiles"]]
        rendered = render(conversation, TEMPLATES[name], real_tokenizer(kind), spans, golden["per_tile"])
        assert rendered.ids == expand(case["ids"])
        assert np.flatnonzero(rendered.arrays()[1]).tolist() == case["trained"]
