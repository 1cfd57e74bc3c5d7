"""Open any checkpoint of the series: find it, choose device and number format, say in one line what it is."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.files.shards import ShardReader
from tessera.checkpoints.load import Loaded, load_checkpoint, read_description
from tessera.checkpoints.placement import balance, free_bytes, read_map, split_layers
from tessera.checkpoints.quantised.form import FewBits, form_of
from tessera.checkpoints.shipped import shipped_folder
from tessera.engine.chat_model import ChatModel
from tessera.engine.hints import LOAD, unknown_setting
from tessera.engine.resolution.looker import looking
from tessera.imaging.pictures.reading import PUBLISHED, PictureReading
from tessera.models.accounting import Stored
from tessera.nn.linear import inference_head
from tessera.nn.quantised import QuantisedLinear
from tessera.runtime.device import choose_device, choose_dtype
from tessera.runtime.shown import shown

LOAD_OPTIONS = (
    *("device", "dtype", "load_in_8bit", "load_in_4bit", "device_map", "merge_lora", "adapter"),
    *("frame_label", "content_tokens", "pictures"),
)
logger = logging.getLogger("tessera")

Model = TypeVar("Model", bound=ChatModel)

DeviceMap = str | Mapping[str, str | int]
"""Layers over several devices: by free memory, as the model cards split, or module name to device."""

SPARE = 0.85
"""Share of a device's free memory that weights may take; caches and intermediate values need the rest."""


def open_model(
    name_or_folder: str | Path | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    load_in_8bit: bool = False,
    load_in_4bit: bool = False,
    device_map: DeviceMap | None = None,
    merge_lora: bool = False,
    adapter: str | Path | None = None,
    frame_label: str | None = None,
    pictures: PictureReading | Mapping[str, Any] | None = None,
    content_tokens: str | Sequence[str] | None = None,
    unknown: Mapping[str, object] | None = None,
    made: Callable[[Loaded], Model] = ChatModel,  # type: ignore[assignment]
) -> Model:
    """`tessera.load`; its docstring says what the arguments mean. `unknown`: other keywords. `made`: the
    model of a checkpoint.
    """
    for name, value in (unknown or {}).items():
        raise unknown_setting(name, value, LOAD_OPTIONS, LOAD)
    reading = _reading(pictures)
    named = shipped_folder() if name_or_folder is None else name_or_folder
    folder, adapted = find_with_adapter(named, adapter)
    place = choose_device(str(device))
    form, asked = form_of(folder), asked_bits(load_in_8bit, load_in_4bit)
    if form and asked:
        said = f"load_in_{'8' if load_in_8bit else '4'}bit = True"
        raise ValueError(f"{said}: {shown(folder)} is stored in {form.kind} already; leave it out")
    stored: Stored = form.kind if form else asked or "bf16"
    devices, note = _placement(folder, place, device_map, stored)
    loaded = load_checkpoint(
        folder,
        place,
        stored_dtype(folder, dtype, place),
        linears=asked or ("packed" if place.type == "cpu" else "plain"),
        as_stored=True,
        devices=devices,
        merge_lora=merge_lora,
        adapter=adapted,
    )
    decoder = loaded.model.decoder
    few = any(isinstance(module, QuantisedLinear) for module in decoder.modules())
    decoder.add_module("lm_head", inference_head(decoder.lm_head, few_bits=few))
    loaded = replace(loaded, notes=(*loaded.notes, *note))
    listed = (
        content_tokens if content_tokens is None or isinstance(content_tokens, str) else tuple(content_tokens)
    )
    loaded = loaded.with_settings(frame_label=frame_label, content_tokens=listed)
    encoder = looking(loaded.model, replace(loaded.encoder, pictures=reading))
    loaded = replace(loaded, encoder=encoder)
    model = made(loaded)
    logger.info("%s", model.summary)
    for text in model.notes:
        logger.warning("%s: %s", loaded.family.name, text)
    return model


def asked_bits(eight: bool, four: bool) -> FewBits | None:
    """What `load_in_8bit` and `load_in_4bit` ask for. ValueError for both."""
    if eight and four:
        raise ValueError("load_in_8bit and load_in_4bit are both set: choose one of them")
    return "int8" if eight else "int4" if four else None


def _reading(pictures: PictureReading | Mapping[str, Any] | None) -> PictureReading:
    try:
        return PUBLISHED if pictures is None else PictureReading.read(pictures)
    except ValueError as error:
        raise ValueError(f"pictures.{error}") from error


def stored_dtype(folder: Path, wanted: str | torch.dtype, device: torch.device) -> torch.dtype | None:
    """The number format by name; "auto" is the stored one, but never float16 on a CPU."""
    if isinstance(wanted, torch.dtype):
        wanted = str(wanted).removeprefix("torch.")
    if wanted != "auto":
        return choose_dtype(wanted, device)
    with ShardReader(folder) as reader:
        # A norm is small, in every layout, and never quantised.
        norm = next((key for key in sorted(reader.files) if "norm" in key), None)
        stored = None if norm is None else reader.tensor(norm).dtype
    return torch.bfloat16 if stored == torch.float16 and device.type == "cpu" else stored


def _placement(
    folder: Path, device: torch.device, device_map: DeviceMap | None, stored: Stored
) -> tuple[dict[str, str] | None, tuple[str, ...]]:
    """Own module prefix to device, or None for one device; and a note where a map could not be had."""
    if device_map is None:
        return None, ()
    if isinstance(device_map, Mapping):
        family = read_description(folder).family
        table = read_map(family.model, device_map, family.declaration.card_names)
        for name in table.values():
            choose_device(name)
        return table, ()
    if device_map not in ("auto", "split"):
        raise ValueError(f"device_map = {device_map!r}: give 'auto', 'split' or a table of module to device")
    cards = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if len(cards) < 2 or device.type != "cuda":
        found = f"{len(cards)} CUDA device{'' if len(cards) == 1 else 's'}"
        return None, (f"device_map = {device_map!r} found {found}: everything lies on {device}",)
    config = read_description(folder).family.model
    if device_map == "split":
        return split_layers(config, cards), ()
    budgets = {card: int(free_bytes(card) * SPARE) for card in cards}
    return balance(config, budgets, stored=stored), ()
