"""Write a checkpoint folder in Tessera's, the original OpenGVLab or transformers' layout."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints import own
from tessera.checkpoints.description import CARD_FILE, LAYOUTS, LayoutName
from tessera.checkpoints.files.shards import MAX_SHARD_BYTES, write_shards
from tessera.checkpoints.weights import tensors_of, write_as
from tessera.families.decoders.config import published_kind
from tessera.families.family import Family
from tessera.families.internvl.config import official, transformers
from tessera.families.internvl.preprocess import PROCESSOR_FILE, VIDEO_FILE
from tessera.families.internvl.prompt import CHAT_TEMPLATE_FILE, GENERATION_FILE, write_json
from tessera.families.internvl.weights import OWN, official_table, transformers_table
from tessera.families.keymap import KeyMap
from tessera.models.vlm import VLM

WRITERS = {"official": official, "transformers": transformers}
TOKENIZER_FILES = ("tokenizer.model", "tokenizer.json", "added_tokens.json", "special_tokens_map.json")
REPLACED_FILES = (
    official.CONFIG_FILE,
    official.PIXELS_FILE,
    own.CONFIG_FILE,
    GENERATION_FILE,
    CHAT_TEMPLATE_FILE,
    PROCESSOR_FILE,
    VIDEO_FILE,
    CARD_FILE,
    *TOKENIZER_FILES,
)
"""Files of an earlier save, perhaps in another layout, which would contradict the new one."""


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
    what, what it can and cannot do. The published layouts always store the head apart from the embedding.
    """
    if model.config != family.model:
        raise ValueError(
            f"family {family.name!r} describes another model than the one given: pass the family that the "
            "model was built from (Family.fitted sets the vocabulary)"
        )
    check_layout(layout)
    tensors = tensors_of(model, dtype, with_tied=layout != "tessera")
    return write_checkpoint(folder, tensors, family, tokenizer, layout, card, max_shard_bytes)


def write_checkpoint(
    folder: str | Path,
    tensors: Iterable[tuple[str, torch.Tensor]],
    family: Family,
    tokenizer: Tokenizer,
    layout: LayoutName,
    card: dict[str, Any] | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """As `save_checkpoint`, from own names and tensors that come one by one; returns the folder.

    A model that the layout cannot express is refused before anything in the folder changes.
    """
    check_layout(layout)
    if layout != "tessera":
        WRITERS[layout].config_of(family, tokenizer)
    root = Path(folder)
    write_shards(root, write_as(tensors, table_for(family, layout)), max_shard_bytes)
    for name in REPLACED_FILES:
        (root / name).unlink(missing_ok=True)
    tokenizer.save(root)
    write_config(root, family, tokenizer, layout, card)
    return root


def write_config(
    folder: Path, family: Family, tokenizer: Tokenizer, layout: LayoutName, card: dict[str, Any] | None = None
) -> None:
    """Everything but weights and vocabulary, into a folder with a saved tokenizer."""
    check_layout(layout)
    if layout == "tessera":
        own.write_config(folder, family, card)
        return
    WRITERS[layout].write_config(folder, family, tokenizer)
    if card is not None:
        write_json(folder / CARD_FILE, card)


def table_for(family: Family, layout: LayoutName) -> KeyMap:
    """The key table that a family is written with."""
    decoder = family.model.decoder
    if layout == "official":
        return official_table(published_kind(decoder), decoder.head_width)
    if layout == "transformers":
        return transformers_table(transformers.text_kind(decoder))
    return OWN


def check_layout(layout: LayoutName) -> None:
    """ValueError for a name that is none."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout = {layout!r}: choose {', '.join(map(repr, LAYOUTS))}")
