"""Tokens and rows: tokens without a row, tokens of the owner, and how both go through the layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

import tessera
from tessera.checkpoints.conversion.convert import convert
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.load import load_checkpoint, read_description
from tests.checkpoints import kinds

LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)


def add_to_json(folder: Path, *names: str) -> None:
    """Tokens behind the last, as transformers writes them into tokenizer.json."""
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    sides = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    last = max(token["id"] for token in document["added_tokens"])
    for number, name in enumerate(names, start=last + 1):
        document["added_tokens"].append({"id": number, "content": name, **sides, "special": True})
    path.write_text(json.dumps(document))


def test_tokens_without_a_row_are_text_and_a_note(tmp_path: Path) -> None:
    """transformers adds `<video>` when it saves a tokenizer; the folder was refused as another model's."""
    folder = kinds.saved(tmp_path / "a", "llama", "transformers")
    rows = read_description(folder).family.model.decoder.vocab_size
    add_to_json(folder, "<video>", "<other>")
    model = tessera.load(folder)
    assert "2 tokens without a row in the model, taken as text: <video>, <other>" in " ".join(model.notes)
    assert model.encode("see <other>").ids.max() < rows
    assert "see <other>" in model.tokenizer.decode(model.encode("see <other>").ids)
    assert convert(folder, tmp_path / "b", "official").agreement is not None


def test_a_prompt_needs_rows(tmp_path: Path) -> None:
    """Turn markers and listed content without a row mean that the tokenizer is another model's."""
    folder = kinds.saved(tmp_path / "a", "llama", "tessera")
    config = folder / "tessera.json"
    content = json.loads(config.read_text())
    add_to_json(folder, "<loc>")
    content["family"]["content_tokens"] = ["<loc>"]
    config.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="prompts need <loc>: the tokenizer files belong to another"):
        load_checkpoint(folder)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_choice_of_content_goes_with_the_model(layout: LayoutName, tmp_path: Path) -> None:
    source = kinds.saved(tmp_path / "a", "llama", "tessera")
    config = source / "tessera.json"
    content = json.loads(config.read_text())
    content["family"]["content_tokens"] = ["<ref>"]
    config.write_text(json.dumps(content))
    convert(source, tmp_path / "b", layout, check=False)
    loaded = load_checkpoint(tmp_path / "b")
    assert loaded.family.content_tokens == ("<ref>",)
