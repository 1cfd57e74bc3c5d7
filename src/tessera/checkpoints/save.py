"""Write a checkpoint folder in Tessera's or in the original OpenGVLab layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch

from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.keymap import OFFICIAL, KeyMap
from tessera.checkpoints.layouts import official, own
from tessera.checkpoints.shards import MAX_SHARD_BYTES, write_shards
from tessera.checkpoints.weights import tensors_of
from tessera.families.family import Family
from tessera.models.vlm import VLM

LayoutName = Literal["tessera", "official", "transformers"]
CARD_FILE = "card.json"


def save_checkpoint(
    folder: str | Path,
    model: VLM,
    family: Family,
    tokenizer: Tokenizer,
    layout: LayoutName = "tessera",
    dtype: torch.dtype | None = None,
    card: dict[str, Any] | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """Write config, weights and tokenizer; returns the folder.

    `dtype` casts the weights (None keeps theirs). `card` is anything JSON can hold: who made the model, from
    what, what it can and cannot do. The official layout keeps no frame label and always stores the head.
    """
    if layout not in ("tessera", "official"):
        raise ValueError(f"layout = {layout!r}: choose 'tessera' or 'official'")
    if model.config != family.model:
        raise ValueError(
            f"family {family.name!r} describes another model than the one given: pass the family that the "
            "model was built from (Family.fitted sets the vocabulary)"
        )
    root = Path(folder)
    write_shards(root, _named_tensors(model, layout, dtype), max_shard_bytes)
    tokenizer.save(root)
    if layout == "tessera":
        own.write_config(root, family, card)
        (root / official.CONFIG_FILE).unlink(missing_ok=True)
    else:
        official.write_config(root, family)
        (root / own.CONFIG_FILE).unlink(missing_ok=True)
        if card is not None:
            text = json.dumps(card, indent=1, ensure_ascii=False)
            (root / CARD_FILE).write_text(text + "\n", encoding="utf-8")
    return root


def _named_tensors(
    model: VLM, layout: LayoutName, dtype: torch.dtype | None
) -> Iterator[tuple[str, torch.Tensor]]:
    if layout == "tessera":
        yield from tensors_of(model, dtype)
        return
    names = KeyMap(OFFICIAL)
    for own_name, tensor in tensors_of(model, dtype, with_tied=True):
        yield names.to_layout(own_name), tensor
