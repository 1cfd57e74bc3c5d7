"""Write a checkpoint folder in Tessera's, the original OpenGVLab or transformers' layout."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints import own
from tessera.checkpoints.description import CARD_FILE, LayoutName, layout_name
from tessera.checkpoints.files.shards import MAX_SHARD_BYTES, write_shards
from tessera.checkpoints.links.weights import LinksApart
from tessera.checkpoints.weights import tensors_of, write_as
from tessera.families.architecture import PublishedLayout
from tessera.families.family import Family
from tessera.families.keymap import OWN
from tessera.models.vlm import VLM
from tessera.runtime.json_file import write_json

TOKENIZER_FILES = ("tokenizer.model", "tokenizer.json", "added_tokens.json", "special_tokens_map.json")


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
    quantised: dict[str, Any] | None = None,
) -> Path:
    """As `save_checkpoint`, from own names and tensors that come one by one; returns the folder.

    `quantised`: how weights in few bits are stored, in Tessera's layout alone (`quantised.form`). A model
    that the layout cannot express is refused before anything in the folder changes.
    """
    published = layout_for(family, layout)
    if published is not None:
        published.config_of(family, tokenizer)
    root, links = Path(folder), LinksApart(family, tokenizer)
    table = OWN if published is None else published.key_table(family)
    write_shards(root, write_as(links.rest(tensors), table), max_shard_bytes)
    links.write(root)
    # Files of an earlier save, perhaps in another layout, would contradict the new one.
    made = {name for other in family.declaration.layouts.values() for name in other.FILES}
    for name in {own.CONFIG_FILE, CARD_FILE, *TOKENIZER_FILES, *made}:
        (root / name).unlink(missing_ok=True)
    tokenizer.save(root)
    if published is None:
        own.write_config(root, family, card, quantised)
        return root
    published.write_config(root, family, tokenizer)
    if card is not None:
        write_json(root / CARD_FILE, card)
    return root


def require_new(folder: Path) -> None:
    """ValueError for a folder that holds something: nothing is overwritten."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there and not empty: nothing is overwritten, name a new folder")


def layout_for(family: Family, layout: LayoutName) -> PublishedLayout | None:
    """The published layout of this name, None for Tessera's own.

    Raises ValueError for a name that is none, and for a layout in which the family is not published.
    """
    if layout_name(layout) == "tessera":
        return None
    if family.links is not None:
        raise ValueError(
            f"layout = {layout!r}: link tokens ({family.links.label}) are kept in Tessera's own layout "
            "alone; choose 'tessera'"
        )
    layouts = family.declaration.layouts
    if layout not in layouts:
        known = ", ".join(map(repr, ("tessera", *layouts)))
        raise ValueError(f"layout = {layout!r}: {family.architecture} is not published in it; choose {known}")
    return layouts[layout]
