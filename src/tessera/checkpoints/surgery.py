"""Parts of models on their own: a ViT or a decoder, saved and laid over another model.

A part folder holds the weights under their own names (`vision.*` or `decoder.*`) and `part.json` with the
part's config. `load_part` also takes a part out of a whole checkpoint, own or official, and opens a released
InternViT or LLaMA / Qwen2 folder by its keys.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from tessera.checkpoints.keymap import BARE_DECODER, BARE_VISION, OFFICIAL, OWN, KeyMap
from tessera.checkpoints.layouts import own
from tessera.checkpoints.layouts.read_json import read_object
from tessera.checkpoints.shards import ShardReader, write_shards
from tessera.checkpoints.weights import check_keys, expected_parameters, tensors_of

PartName = Literal["vision", "decoder", "connector"]
PARTS: tuple[PartName, ...] = ("vision", "connector", "decoder")
PART_FILE = "part.json"
SEEN_WITHOUT_EFFECT = {"drop_path_rate", "initializer_range", "initializer_factor", "max_position_embeddings"}
"""Config fields that may differ between a part and the model it goes into."""


def save_part(
    model: nn.Module,
    part: PartName,
    folder: str | Path,
    dtype: torch.dtype | None = None,
    card: dict[str, Any] | None = None,
) -> Path:
    """Write one part of a model; returns the folder."""
    module = _part_of(model, part)
    root = Path(folder)
    weights = ((f"{part}.{name}", tensor) for name, tensor in tensors_of(module, dtype))
    write_shards(root, weights)
    config = getattr(module, "config", None)
    content = {"part": part, "config": config.model_dump(mode="json") if config else {}, "card": card or {}}
    (root / PART_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return root


def load_part(model: nn.Module, part: PartName, folder: str | Path) -> None:
    """Lay the weights of a part over `model`, in place, on its device and in its dtype.

    Everything of the part is replaced or nothing is: ValueError when the folder holds no such part, lacks or
    has more of it, or when shapes or configs differ.
    """
    module = _part_of(model, part)
    root = Path(folder)
    _check_config(module, part, root)
    with ShardReader(root) as reader:
        found = _find(reader, part)
        check_keys(expected_parameters(module), found, [], reader)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(reader.tensor(found[name]))


def _part_of(model: nn.Module, part: PartName) -> nn.Module:
    if part not in PARTS:
        raise ValueError(f"part = {part!r}: choose one of {', '.join(PARTS)}")
    module = getattr(model, part, None)
    if not isinstance(module, nn.Module):
        raise ValueError(f"part = {part!r}: {type(model).__name__} has no such part")
    return module


def _find(reader: ShardReader, part: PartName) -> dict[str, str]:
    """Name within the part -> key in the files, from the first table under which anything matches."""
    bare = {"vision": BARE_VISION, "decoder": BARE_DECODER}.get(part, ())
    for table in (OWN, OFFICIAL, bare):
        names, _ = KeyMap(table).own_names(reader.files)
        prefix = f"{part}."
        found = {own.removeprefix(prefix): key for own, key in names.items() if own.startswith(prefix)}
        if found:
            return found
    example = next(iter(reader.files), "no key at all")
    raise ValueError(
        f"{reader.folder}: no key belongs to the part {part!r} (the first key is {example!r}); "
        f"give the folder of a saved {part} or of a whole checkpoint"
    )


def _check_config(module: nn.Module, part: PartName, root: Path) -> None:
    """Heads, epsilons and rope bases leave no trace in shapes: compare the configs where one is saved."""
    path, saved = _saved_config(part, root)
    config = getattr(module, "config", None)
    if config is None:
        return
    here = config.model_dump(mode="json")
    for name, value in saved.items():
        if name not in SEEN_WITHOUT_EFFECT and here.get(name) != value:
            raise ValueError(
                f"{path}: {part}.{name} = {value} but the model has {here.get(name)}: "
                "build the model with the same config"
            )


def _saved_config(part: PartName, root: Path) -> tuple[Path, dict[str, Any]]:
    """File and config of the part in a folder of ours; empty for folders of other layouts."""
    if own.describes(root):
        family, _ = own.read_config(root)
        config: dict[str, Any] = family.model.model_dump(mode="json").get(part, {})
        return root / own.CONFIG_FILE, config
    path = root / PART_FILE
    content: dict[str, Any] = read_object(path) if path.is_file() else {"part": part}
    if content.get("part") != part:
        raise ValueError(f"{path}: this folder holds the part {content.get('part')!r}, not {part!r}")
    found: dict[str, Any] = content.get("config") or {}
    return path, found
