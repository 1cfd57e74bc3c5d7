"""What a checkpoint folder says about itself, before any weight is read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.chat.tokens import ADDED_TOKENS, IMG_CONTEXT
from tessera.checkpoints import own
from tessera.families.family import Family
from tessera.families.internvl.config import official, transformers
from tessera.families.internvl.config.section import Reading
from tessera.families.internvl.weights import OWN, official_table, transformers_table
from tessera.families.keymap import KeyMap
from tessera.runtime.json_file import read_object

LayoutName = Literal["tessera", "official", "transformers"]
LAYOUTS: tuple[LayoutName, ...] = ("tessera", "official", "transformers")
CARD_FILE = "card.json"
Reader = Callable[[Path, Tokenizer, Collection[str]], Reading]
READERS: dict[LayoutName, Reader] = {
    "official": official.read_config,
    "transformers": transformers.read_config,
}
MODEL_TYPES: dict[str, LayoutName] = {
    official.MODEL_TYPE: "official",
    transformers.MODEL_TYPE: "transformers",
}


@dataclass(frozen=True)
class Description:
    """Everything about a checkpoint but its weights.

    `stored_grid`: patches along a side of the stored position embedding, where it is resized on the way in.
    """

    family: Family
    tokenizer: Tokenizer
    layout: LayoutName
    keymap: KeyMap
    card: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stored_grid: int | None = None


def layout_of(folder: Path) -> LayoutName:
    """The layout by the folder's config. Raises ValueError when there is none that we know."""
    if own.describes(folder):
        return "tessera"
    path = folder / official.CONFIG_FILE
    if not path.is_file():
        raise ValueError(
            f"{folder} holds neither {own.CONFIG_FILE} nor {official.CONFIG_FILE}: "
            "copy the checkpoint's config beside the weights"
        )
    kind = read_object(path).get("model_type")
    if kind not in MODEL_TYPES:
        raise ValueError(
            f"{path}: model_type = {kind!r} is unknown; this version opens {' and '.join(MODEL_TYPES)}, "
            "so give an InternVL chat model in the original, transformers' or Tessera's layout"
        )
    return MODEL_TYPES[kind]


def describe(folder: Path, keys: Collection[str]) -> Description:
    """Read config and tokenizer; `keys` are the tensors in the files, empty when they are not known.

    Raises ValueError naming file, key and remedy.
    """
    layout = layout_of(folder)
    tokenizer = load_tokenizer(folder)
    _check_added(folder, tokenizer)
    if layout == "tessera":
        family, card = own.read_config(folder)
        reading = Reading(family, card=card)
    else:
        reading = _read(folder, layout, tokenizer, keys)
    _check_ids(folder, tokenizer, reading.family)
    card_file = folder / CARD_FILE
    return Description(
        reading.family,
        tokenizer,
        layout,
        _keymap(folder, layout, reading.family, keys),
        reading.card or (read_object(card_file) if card_file.is_file() else {}),
        reading.notes,
        reading.stored_grid,
    )


def _read(folder: Path, layout: LayoutName, tokenizer: Tokenizer, keys: Collection[str]) -> Reading:
    """config.json; a value of it that no model can have is told with the file's name."""
    try:
        return READERS[layout](folder, tokenizer, keys)
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(f"{part}: " for part in first["loc"])
        raise ValueError(
            f"{folder / official.CONFIG_FILE}: {field}{first['msg']}; fetch the config again, or "
            "mend the value"
        ) from error


def _keymap(folder: Path, layout: LayoutName, family: Family, keys: Collection[str]) -> KeyMap:
    if layout == "official":
        return official_table(official.kind_in_files(folder), family.model.decoder.head_width)
    if layout == "transformers":
        return transformers_table(transformers.kind_in_files(folder), keys)
    return OWN


def _check_added(folder: Path, tokenizer: Tokenizer) -> None:
    if missing := [token for token in ADDED_TOKENS if not tokenizer.has_token(token)]:
        raise ValueError(
            f"{folder}: the tokenizer lacks {' '.join(missing)}: these are the files of the language model "
            "alone; fetch the checkpoint's own, or add the tokens with Tokenizer.with_added() and resize the "
            "embeddings"
        )


def _check_ids(folder: Path, tokenizer: Tokenizer, family: Family) -> None:
    """Tokenizer and model must mean the same ids."""
    vocabulary, image_token = family.model.decoder.vocab_size, family.model.image_token_id
    if tokenizer.vocab_size > vocabulary:
        raise ValueError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens but the model's vocab_size is "
            f"{vocabulary}: the tokenizer files belong to another checkpoint"
        )
    if tokenizer.token_id(IMG_CONTEXT) != image_token:
        raise ValueError(
            f"{folder}: {IMG_CONTEXT} is token {tokenizer.token_id(IMG_CONTEXT)} but the config's "
            f"image_token_id is {image_token}: the tokenizer files belong to another checkpoint"
        )
