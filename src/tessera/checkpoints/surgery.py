"""Parts of models on their own: a ViT or a decoder, saved and laid over another model.

A part folder holds the weights under their own names (`vision.*` or `decoder.*`) and `part.json` with the
part's config. `load_part` also takes a part out of a whole checkpoint in any layout, and opens a released
InternViT or language-model folder by its keys.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from tessera.checkpoints import own
from tessera.checkpoints.files.shards import ShardReader, TensorSource, write_shards
from tessera.checkpoints.files.views import ResizedPositions
from tessera.checkpoints.weights import IGNORED_ENDINGS, check_shapes, read_own, stored_keys, tensors_of
from tessera.families.architecture import StoredGrid
from tessera.families.decoders.experts import is_fused
from tessera.families.decoders.weights import decoder_rules
from tessera.families.keymap import OWN, Group, KeyMap
from tessera.families.registry import architectures
from tessera.models.config import DecoderConfig, DecoderKind
from tessera.runtime.json_file import Section, write_json
from tessera.runtime.shown import shown

HEAD = "decoder.lm_head.weight"
PART_FILE = "part.json"
SEEN_WITHOUT_EFFECT = {"drop_path_rate", "initializer_range", "initializer_factor", "max_position_embeddings"}
"""Config fields that may differ between a part and the model it goes into."""


def save_part(
    model: nn.Module,
    part: str,
    folder: str | Path,
    dtype: torch.dtype | None = None,
    card: dict[str, Any] | None = None,
    tensors: Iterable[tuple[str, torch.Tensor]] | None = None,
) -> Path:
    """Write one part of a model; returns the folder. `tensors`: the model's weights, instead of its own."""
    module = _part_of(model, part)
    root = Path(folder)
    whole = tensors_of(model, dtype) if tensors is None else tensors
    weights = ((name, tensor) for name, tensor in whole if name.startswith(f"{part}."))
    write_shards(root, weights)
    config = getattr(module, "config", None)
    said = config.model_dump(mode="json") if config else {}
    write_json(root / PART_FILE, {"part": part, "config": said, "card": card or {}})
    return root


def load_part(model: nn.Module, part: str, folder: str | Path) -> None:
    """Lay the weights of a part over `model`, in place, on its device and in its dtype.

    Everything of the part is replaced or nothing is: ValueError when the folder holds no such part, lacks or
    has more of it, or when shapes or configs differ.
    """
    module = _part_of(model, part)
    root = Path(folder)
    _check_config(module, part, root)
    expected = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in part_tensors(module, part, root):
            expected[name].copy_(tensor)


def part_tensors(
    module: nn.Module, part: str, folder: Path, grid: StoredGrid | None = None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Own names and tensors of a part, for a module that may lie on the meta device.

    `grid`: a position embedding to be resized. All keys and shapes are checked before the first tensor comes,
    as in `load_part`; the configs are not.
    """
    expected = {f"{part}.{name}": parameter for name, parameter in module.named_parameters()}
    with ShardReader(folder) as reader:
        groups, source = _find(reader, part, expected, module), cast(TensorSource, reader)
        if grid is not None and grid.stored != grid.wanted:
            (key,) = next(group.stored for group in groups if grid.parameter in group.own)
            source = ResizedPositions(source, key, grid.stored, grid.wanted)
        check_shapes(groups, expected, source)
        yield from read_own(groups, expected, source)


def _part_of(model: nn.Module, part: str) -> nn.Module:
    parts = dict(model.named_children())
    if part not in parts:
        raise ValueError(
            f"part = {part!r}: {type(model).__name__} has no such part; choose one of {', '.join(parts)}"
        )
    return parts[part]


def _find(
    reader: ShardReader, part: str, expected: dict[str, nn.Parameter], module: nn.Module
) -> list[Group]:
    """What to read, by the table that explains most keys; ValueError when it is not all there."""
    tables = [(table, stored_keys(expected, table)) for table in part_forms(part, module, reader.files)]
    # Layouts share names: the table that explains most keys is meant.
    table, wanted = max(tables, key=lambda found: len(found[1].keys() & reader.files.keys()))
    if not wanted.keys() & reader.files.keys():
        example = next(iter(reader.files), "no key at all")
        raise ValueError(
            f"{reader.folder}: no key belongs to the part {part!r} (the first key is {example!r}); "
            f"give the folder of a saved {part} or of a whole checkpoint"
        )
    if missing := [key for key in wanted if key not in reader.files]:
        raise ValueError(
            f"{reader.folder} lacks weights for {part}: no file holds {missing[0]!r}; "
            "the files are incomplete or belong to another model"
        )
    _check_extra(reader, wanted, table, part)
    return sorted(dict.fromkeys(wanted.values()), key=lambda group: reader.files[group.stored[0]])


def part_forms(part: str, module: nn.Module, keys: Collection[str]) -> Iterator[KeyMap]:
    """Every form in which a part may lie in a folder with these keys: tables that name all its parameters."""
    own = [f"{part}.{name}" for name, _ in module.named_parameters()]
    return (table for table in _forms(part, module, keys) if all(map(table.names, own)))


def _forms(part: str, module: nn.Module, keys: Collection[str]) -> Iterator[KeyMap]:
    config = getattr(module, "config", None)
    decoder = config if isinstance(config, DecoderConfig) else None
    yield OWN
    for architecture in architectures().values():
        yield from architecture.part_tables(part, decoder, keys)
    if decoder:
        # Most language models have LLaMA's form, whatever their architecture.
        kinds: tuple[DecoderKind, ...] = (decoder.architecture, "llama")
        for kind in dict.fromkeys(kinds):
            names = (kind, "model.", "lm_head.", decoder.head_width)
            yield KeyMap(decoder_rules(*names, decoder.expert_count, is_fused(keys)))


def _check_extra(reader: ShardReader, keys: Collection[str], table: KeyMap, part: str) -> None:
    """More layers, biases or a head of its own than the model has: another model's part."""
    lists = {key[: number.start()] for key in keys if (number := re.search(r"\d+\.", key))}
    heads = table.group(HEAD).stored if part == HEAD.partition(".")[0] else ()
    for key in reader.files:
        more = key.startswith(tuple(lists)) or key in heads
        if more and key not in keys and not key.endswith(IGNORED_ENDINGS):
            raise ValueError(
                f"{reader.place(key)}: {key!r} fits no parameter of the model's {part}: "
                "build the model with the same config"
            )


def _check_config(module: nn.Module, part: str, root: Path) -> None:
    """Heads, epsilons and rope bases leave no trace in shapes: compare the configs where one is saved."""
    path, saved = saved_config(part, root)
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


def saved_config(part: str, root: Path) -> tuple[Path, dict[str, Any]]:
    """File and config of the part in a folder of ours; empty for folders of other layouts."""
    if own.describes(root):
        parts = own.read_config(root).family.model.model_dump(mode="json")
        return root / own.CONFIG_FILE, parts.get(part, {})
    path = root / PART_FILE
    content = Section.of(path) if path.is_file() else Section(str(path), {"part": part})
    if (found := content.text("part")) != part:
        raise ValueError(f"{path}: this folder holds the part {shown(found)}, not {part!r}")
    return path, content.part("config").content
