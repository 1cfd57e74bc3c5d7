"""Open a pair: find it, choose device and number format, say in one line what it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch

from tessera.checkpoints.hub import find_checkpoint
from tessera.checkpoints.load import Loaded
from tessera.checkpoints.pair.loading import load_pair, pair_in
from tessera.engine.opening import Model, asked_bits, open_model, stored_dtype
from tessera.engine.pair.model import PairModel
from tessera.nn.linear import LinearKind
from tessera.runtime.device import choose_device
from tessera.runtime.shown import shown

logger = logging.getLogger("tessera")


def open_what_it_is(
    name_or_folder: str | Path | None,
    made: Callable[[Loaded], Model],
    unknown: Mapping[str, object],
    **options: Any,
) -> Model:
    """`tessera.load`: the chat model `made` of a folder, or a `PairModel` where it holds a pair.

    Chat models are the rule, and what type checkers are told.
    """
    folder = None if unknown else find_pair_folder(name_or_folder)
    if folder is not None:
        return cast(Model, open_pair(folder, **options))
    return open_model(name_or_folder, unknown=unknown, made=made, **options)


def find_pair_folder(name_or_folder: str | Path | None) -> Path | None:
    """The folder of a name or folder that holds a pair; None where it holds something else."""
    if name_or_folder is None:
        return None
    folder = find_checkpoint(name_or_folder)
    return folder if pair_in(folder) else None


def open_pair(
    folder: Path,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    load_in_8bit: bool = False,
    load_in_4bit: bool = False,
    merge_lora: bool = False,
    **others: object,
) -> PairModel:
    """`tessera.load` of a pair. `others`: settings of chat models; one that is set is a ValueError."""
    if said := [name for name, value in others.items() if value is not None]:
        raise ValueError(
            f"{shown(folder)} is a contrastive pair, which does not chat and has no setting {said[0]!r}: it "
            "embeds pictures and texts and writes captions (docs/pair.md)"
        )
    place = choose_device(str(device))
    plain: LinearKind = "packed" if place.type == "cpu" else "plain"
    linears = asked_bits(load_in_8bit, load_in_4bit) or plain
    model = PairModel(
        load_pair(folder, place, stored_dtype(folder, dtype, place), linears=linears, merge_lora=merge_lora)
    )
    logger.info("%r", model)
    for text in model.notes:
        logger.warning("%s: %s", model.name, text)
    return model
