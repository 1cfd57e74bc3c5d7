"""The code of docs/loader.md runs as it stands, on a small dataset of one's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.shipped import shipped_folder
from tessera.families.catalogue import fresh
from tests.records.jsonl_files import turns, write_picture


def test_the_page_trains(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_picture(folder / "photo.jpg", (300, 100))
    records = [{"image": "photo.jpg", "conversations": turns("<image>\nwhat?", f"red {n}")} for n in range(9)]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    meta = {"photos": {"root": "", "annotation": "a.jsonl", "data_augment": True, "repeat_time": 1}}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    page = (repo_root / "docs" / "loader.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 10
    monkeypatch.chdir(tmp_path)
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    seen: list[tuple[int, ...]] = []

    def train(
        ids: torch.Tensor, weights: torch.Tensor, lengths: tuple[int, ...], tiles: torch.Tensor
    ) -> None:
        assert len(ids) == len(weights) == sum(lengths) <= 4096
        assert tiles.dtype == torch.uint8 and tiles.is_shared() and len(tiles) <= 24
        seen.append(lengths)

    names: dict[str, Any] = {"encoder": fresh("scale_model", tokenizer).encoder(tokenizer), "train": train}
    exec(code, names)  # noqa: S102
    assert sum(map(len, seen)) == 9
    assert names["position"]["stats"]["samples"] == 9
    assert not list(names["loader"])
