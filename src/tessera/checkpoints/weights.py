"""Weights between files and modules: every key accounted for, every shape checked, one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from tessera.checkpoints.shards import ShardReader


def expected_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Own name -> parameter; a tied parameter appears once, under its first name."""
    return dict(model.named_parameters())


def check_keys(
    expected: Mapping[str, nn.Parameter], found: Mapping[str, str], unknown: list[str], reader: ShardReader
) -> None:
    """Every parameter has a key of its shape and every key a parameter, or ValueError naming the first ones.

    `found` maps own names to keys in the files.
    """
    where = reader.folder
    extra = [key for own, key in found.items() if own not in expected] + unknown
    if lora := [key for key in extra if "lora_" in key or "base_layer" in key]:
        raise ValueError(
            f"{where}: {lora[0]!r} belongs to a LoRA checkpoint: merge its matrices into the weights first"
        )
    if missing := [own for own in expected if own not in found]:
        raise ValueError(
            f"{where} lacks weights for {_some(missing)}: the files are incomplete, or the config describes "
            "another model; fetch both again"
        )
    if extra:
        raise ValueError(
            f"{where}: {_some(extra)} in {reader.place(extra[0])} fit no part of the model that the config "
            "describes; check the config's number of layers and its biases"
        )
    for own, key in found.items():
        shape, wanted = reader.shape(key), tuple(expected[own].shape)
        if shape != wanted:
            raise ValueError(
                f"{reader.place(key)}: {key!r} has shape {shape} but the config asks for {wanted}: "
                "config and weights belong to different models"
            )


def fill(
    model: nn.Module,
    found: Mapping[str, str],
    reader: ShardReader,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> None:
    """Replace the (meta) parameters by the files' tensors; `dtype` None keeps the stored one.

    Parameters that were tied stay tied.
    """
    names_of: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names_of.setdefault(id(parameter), []).append(name)
    for names in list(names_of.values()):
        if names[0] not in found:
            continue
        tensor = reader.tensor(found[names[0]]).to(device=device, dtype=dtype)
        parameter = nn.Parameter(tensor)
        for name in names:
            module, _, leaf = name.rpartition(".")
            model.get_submodule(module).register_parameter(leaf, parameter)


def tensors_of(
    model: nn.Module, dtype: torch.dtype | None = None, with_tied: bool = False
) -> Iterator[tuple[str, torch.Tensor]]:
    """Own names and weights, cast one at a time; `with_tied` repeats a tied weight under its second name."""
    for name, parameter in model.named_parameters(remove_duplicate=not with_tied):
        yield name, parameter.detach() if dtype is None else parameter.detach().to(dtype)


def _some(names: list[str], most: int = 3) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
