"""Write tests/golden/chat/*.json: token ids by the official rules, one file a template and tokenizer.

The ids come from `tests/chat/official.py`, which restates the official preprocessing
(docs/facts/templates.md) on strings with the original tokenizer libraries and shares no code with
`tessera.chat`. Run it again only when that statement of the rules was wrong:

    PYTHONPATH=src:. python tests/golden/make_chat.py
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

from tests.chat.cases import CASES, PAIRS, Case
from tests.chat.official import IGNORE, Encode, inference, load_official, preprocess

HERE = Path(__file__).parent
RULES = {
    "internvl2_5": "messages tokenised alone, concatenated; answer and <|im_end|> trained, its newline not",
    "internvl_zh": "one prompt; what follows <bot>: and </s> trained",
    "internlm2-chat": "turns stripped, one prompt behind bos; answer and <|im_end|> trained",
    "Hermes-2": "one prompt; answer and <|im_end|> trained",
    "phi3-chat": "one prompt behind bos and a lone space; white space behind chat tokens dropped",
}
GENERATE = (
    "the cards' chat(): the query as typed with its marks replaced, tokenised once behind bos if there is one"
)
PER_TILE = 256


def runs(ids: list[int]) -> list[int | list[int]]:
    """Ids with runs of four and more written as [id, times]."""
    lengths = ((value, len(list(group))) for value, group in groupby(ids))
    return [x for v, n in lengths for x in ([[v, n]] if n > 3 else [v] * n)]  # type: ignore[misc]


def ids_of(case: Case, name: str, encode: Encode, bos: int | None) -> dict[str, object]:
    """One case with its ids, the positions that are trained and the rule both come from."""
    turns, tiles, system = case.turns, case.tiles, case.system
    if case.path == "generate":
        ids, trained = inference(name, turns, encode, bos, tiles, PER_TILE, system), []
    else:
        ids, labels = preprocess(name, turns, encode, bos, tiles, PER_TILE, system)
        trained = [i for i, label in enumerate(labels) if label != IGNORE]
    return {
        "key": case.key,
        "path": case.path,
        "rule": case.path,
        "system": system,
        "turns": turns,
        "tiles": tiles,
        "ids": runs(ids),
        "trained": trained,
    }


def main() -> None:
    """Write every file."""
    root = HERE.parents[2] / "shared" / "data" / "tokenizers"
    (HERE / "chat").mkdir(exist_ok=True)
    for name, kind in PAIRS:
        encode, bos = load_official(kind, root)
        value = {
            "template": name,
            "tokenizer": kind,
            "source": "tests/golden/make_chat.py from tests/chat/official.py (facts 3.2, 4 and 5.5)",
            "rules": {"training": RULES[name], "generate": GENERATE},
            "per_tile": PER_TILE,
            "cases": [ids_of(case, name, encode, bos) for case in CASES],
        }
        text = json.dumps(value, ensure_ascii=False)
        (HERE / "chat" / f"{name}__{kind}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
