"""Weights between files and modules: every key accounted for, every shape checked, one group at a time."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from tessera.checkpoints.files.shards import IGNORED_ENDINGS, ShardReader, TensorSource
from tessera.families.keymap import Group, KeyMap
from tessera.models.accounting import count_parts
from tessera.models.config import ModelConfig
from tessera.models.pair.config import PairConfig
from tessera.nn.linear import PackedLinear
from tessera.runtime.shown import shown


def stored_keys(expected: Iterable[str], keymap: KeyMap) -> dict[str, Group]:
    """Stored key -> its group, for all of these own names."""
    groups = dict.fromkeys(keymap.group(name) for name in expected)
    return {key: group for group in groups for key in group.stored}


READABLE = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def check_size(config: ModelConfig | PairConfig, reader: ShardReader, *others: ShardReader) -> None:
    """A model that the files cannot hold is refused before it is built, which costs memory and time even
    without weights. `others` hold parts of it. ValueError naming both sizes."""
    wanted, layers = count_parts(config)["total"], _layers(config.model_dump())
    readers = (reader, *others)
    held, tensors = sum(one.size_on_disk() for one in readers), sum(len(one.files) for one in readers)
    # No format has less than half a byte a number, and every layer has tensors of its own.
    if wanted > 2 * held or layers > tensors:
        raise ValueError(
            f"{shown(reader.folder)}: the config asks for {wanted:,} weights in {layers} layers, the files "
            f"hold {tensors} tensors in {held:,} bytes: config and weights belong to different models"
        )


def _layers(values: Mapping[str, Any]) -> int:
    """Layers of all parts of a config."""
    nested = sum(_layers(value) for value in values.values() if isinstance(value, dict))
    return int(values.get("num_hidden_layers", 0)) + nested


def find_groups(expected: Mapping[str, nn.Parameter], keymap: KeyMap, source: TensorSource) -> list[Group]:
    """What to read for the expected own names, in the order of the files.

    Every parameter has its keys in the right shapes and every key a parameter, or ValueError naming the
    first ones, their file and a remedy.
    """
    wanted = stored_keys(expected, keymap)
    if missing := [key for key in wanted if key not in source.files]:
        raise ValueError(
            f"{source.folder} lacks weights for {', '.join(map(repr, wanted[missing[0]].own))}: no file "
            f"holds {_some(missing)}; the files are incomplete, or the config describes another model: "
            "fetch both again"
        )
    if extra := [key for key in source.files if key not in wanted and not key.endswith(IGNORED_ENDINGS)]:
        raise ValueError(
            f"{source.folder}: {_some(extra)} in {source.place(extra[0])} fit no part of the model that the "
            "config describes; check the config's number of layers and its biases"
        )
    order = list(dict.fromkeys(source.files.values()))
    groups = sorted(
        dict.fromkeys(wanted.values()), key=lambda group: order.index(source.files[group.stored[0]])
    )
    check_shapes(groups, expected, source)
    return groups


def check_shapes(groups: Iterable[Group], expected: Mapping[str, nn.Parameter], source: TensorSource) -> None:
    """ValueError naming file, key and both shapes where they differ."""
    for group in groups:
        shapes = group.stored_shapes([tuple(expected[name].shape) for name in group.own])
        for key, wanted in zip(group.stored, shapes, strict=True):
            if (shape := source.shape(key)) != wanted:
                why = "config and weights belong to different models"
                if 0 in shape:
                    why = (
                        "ZeRO-3 had divided the weights and nobody gathered them; write whole ones with its "
                        "zero_to_fp32.py, or train with stage3_gather_16bit_weights_on_model_save"
                    )
                raise ValueError(
                    f"{source.place(key)}: {shown(key)} has shape {shape} but the config asks for {wanted}: "
                    f"{why}"
                )


def read_own(
    groups: Iterable[Group],
    expected: Mapping[str, nn.Parameter],
    source: TensorSource,
    looked_at: float = math.inf,
) -> Iterator[tuple[str, torch.Tensor]]:
    """Own names and tensors, group by group; a tensor may be a window into a file, so copy what you keep.

    Raises ValueError naming the first tensor of up to `looked_at` numbers that is not finite.
    """
    for group in groups:
        shapes = [tuple(expected[name].shape) for name in group.own]
        stored = [_weight(source, key, looked_at) for key in group.stored]
        yield from zip(group.own, group.to_own(stored, shapes), strict=True)


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds nothing but numbers. A sum is no number when a summand is none, and is fast."""
    return bool(tensor.sum(dtype=torch.float32).isfinite()) or bool(tensor.isfinite().all())


def first_not_finite(model: nn.Module) -> str | None:
    """Name of the first weight that is not finite, None when all are. Reads every weight."""
    for path, module in model.named_modules():
        kept = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        if isinstance(module, PackedLinear):
            kept.append(("weight", module.weight))
        for name, tensor in kept:
            # Of a weight that is shared out, the part that lies here: to see all takes all processes.
            tensor = getattr(tensor, "to_local", lambda whole=tensor: whole)()
            if tensor.is_floating_point() and not is_finite(tensor):
                return f"{path}.{name}"
    return None


def _weight(source: TensorSource, key: str, looked_at: float) -> torch.Tensor:
    """A tensor that a model can compute with."""
    tensor = source.tensor(key)
    if tensor.dtype not in READABLE or tensor.layout is not torch.strided:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(
            f"{source.place(key)}: {shown(key)} is made of {kind}, which is no plain weight: fetch the "
            "checkpoint in bfloat16, float16 or float32"
        )
    if tensor.numel() <= looked_at and not is_finite(tensor):
        raise ValueError(
            f"{source.place(key)}: {shown(key)} holds numbers that are not finite: fetch the file again, "
            "or save the model from a step before its training diverged"
        )
    return tensor


def write_as(
    tensors: Iterable[tuple[str, torch.Tensor]], keymap: KeyMap
) -> Iterator[tuple[str, torch.Tensor]]:
    """Own names and tensors as a layout names, cuts and joins them; members of a group follow each other.

    Raises ValueError when a group stays incomplete.
    """
    waiting: dict[Group, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors:
        group = keymap.group(name)
        members = waiting.setdefault(group, {})
        members[name] = tensor
        if len(members) == len(group.own):
            del waiting[group]
            joined = group.to_stored([members[own] for own in group.own])
            yield from zip(group.stored, joined, strict=True)
    for group, members in waiting.items():
        absent = [name for name in group.own if name not in members]
        raise ValueError(f"{group.stored[0]!r} needs {_some(absent)}, which the model does not have")


def tensors_of(
    model: nn.Module, dtype: torch.dtype | None = None, with_tied: bool = False
) -> Iterator[tuple[str, torch.Tensor]]:
    """Own names and weights, cast one at a time; `with_tied` repeats a tied weight under its second name."""
    for name, parameter in model.named_parameters(remove_duplicate=not with_tied):
        yield name, parameter.detach() if dtype is None else parameter.detach().to(dtype)


def _some(names: list[str], most: int = 3) -> str:
    listed = ", ".join(shown(name) for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"
