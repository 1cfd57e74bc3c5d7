"""Open a checkpoint folder: model, tokenizer and encoder that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from tessera.chat.encoder import Encoder
from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.chat.tokens import IMG_CONTEXT
from tessera.checkpoints.keymap import OFFICIAL, OWN, KeyMap
from tessera.checkpoints.layouts import official, own
from tessera.checkpoints.shards import ShardReader
from tessera.checkpoints.weights import check_keys, expected_parameters, fill
from tessera.families.family import Family
from tessera.models.vlm import VLM

OFFICIAL_HEAD = "language_model.lm_head.weight"
LayoutName = Literal["tessera", "official", "transformers"]
LinearKind = Literal["plain", "packed", "int8"]


@dataclass(frozen=True)
class Description:
    """What a checkpoint folder says about itself; no weights are read."""

    family: Family
    tokenizer: Tokenizer
    layout: LayoutName
    keymap: KeyMap
    card: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint folder holds, ready for use; the model is in evaluation mode."""

    model: VLM
    tokenizer: Tokenizer
    encoder: Encoder
    family: Family
    folder: Path
    card: dict[str, Any] = field(default_factory=dict)
    layout: LayoutName = "tessera"
    notes: tuple[str, ...] = ()
    """Harmless oddities of the folder and what was made of them, one sentence each."""

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer."""
        return self.encoder.stop_ids

    @property
    def summary(self) -> str:
        """Name, layout, parts, parameters, dtype and device in one line."""
        vision, decoder = self.family.model.vision, self.family.model.decoder
        count = sum(parameter.numel() for parameter in self.model.parameters())
        first = next(self.model.parameters())
        return (
            f"{self.family.name} · {self.layout} layout · InternViT {vision.num_hidden_layers}×"
            f"{vision.hidden_size} + {decoder.architecture} {decoder.num_hidden_layers}×"
            f"{decoder.hidden_size} · {count / 1e9:.1f} B parameters · {first.dtype} on {first.device}"
        )


def load_checkpoint(
    folder: str | Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    *,
    linears: LinearKind = "plain",
    devices: Mapping[str, str] | None = None,
    merge_lora: bool = False,
) -> Loaded:
    """Open a folder in Tessera's or in the original OpenGVLab layout; `dtype` None keeps the stored one.

    The model is laid out without memory and filled tensor by tensor. Raises ValueError naming file, key and
    remedy when anything is missing, too much, of another shape or of an unknown architecture.
    """
    root = Path(folder)
    with ShardReader(root) as reader:
        tokenizer = load_tokenizer(root)
        family, card, keymap = _read_config(root, tokenizer, reader)
        _check_tokenizer(root, tokenizer, family)
        model = empty_model(family)
        found, unknown = keymap.own_names(reader.files)
        check_keys(expected_parameters(model), found, unknown, reader)
        fill(model, found, reader, device, dtype)
    return Loaded(model.eval(), tokenizer, family.encoder(tokenizer), family, root, card)


def read_description(folder: str | Path) -> Description:
    """Everything about a folder but its weights: config, tokenizer, layout and the names of the tensors."""
    root = Path(folder)
    with ShardReader(root) as reader:
        tokenizer = load_tokenizer(root)
        family, card, keymap = _read_config(root, tokenizer, reader)
    return Description(family, tokenizer, "tessera" if own.describes(root) else "official", keymap, card)


def empty_model(family: Family) -> VLM:
    """The model on the meta device: shapes and names, no memory."""
    with torch.device("meta"):
        return VLM(family.model)


def _read_config(
    root: Path, tokenizer: Tokenizer, reader: ShardReader
) -> tuple[Family, dict[str, Any], KeyMap]:
    if own.describes(root):
        return *own.read_config(root), KeyMap(OWN)
    if official.describes(root):
        family = official.read_config(root, tokenizer, OFFICIAL_HEAD in reader.files)
        return family, {}, KeyMap(OFFICIAL)
    raise ValueError(
        f"{root} holds weights but neither {own.CONFIG_FILE} nor {official.CONFIG_FILE}: "
        "copy the checkpoint's config beside them"
    )


def _check_tokenizer(root: Path, tokenizer: Tokenizer, family: Family) -> None:
    """Tokenizer and model must mean the same ids."""
    vocabulary, image_token = family.model.decoder.vocab_size, family.model.image_token_id
    if tokenizer.vocab_size > vocabulary:
        raise ValueError(
            f"{root}: the tokenizer has {tokenizer.vocab_size} tokens but the model's vocab_size is "
            f"{vocabulary}: the tokenizer files belong to another checkpoint"
        )
    if tokenizer.token_id(IMG_CONTEXT) != image_token:
        raise ValueError(
            f"{root}: {IMG_CONTEXT} is token {tokenizer.token_id(IMG_CONTEXT)} but the config's "
            f"image_token_id is {image_token}: the tokenizer files belong to another checkpoint"
        )
