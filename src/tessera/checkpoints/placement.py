"""Which device holds which part of a model that is too large for one.

A map goes from own module prefixes to devices; the longest prefix of a module's name decides and "" stands
for everything else. Blocks of the decoder may lie anywhere; the ViT is never divided.
"""

import difflib
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from tessera.models.accounting import Stored
from tessera.models.config import ModelConfig

HEAD_AND_TAIL = ("decoder.embed_tokens", "decoder.norm", "decoder.lm_head")
CARD_NAMES_WITHOUT_WEIGHTS = ("language_model.model.rotary_emb",)
MEMINFO = Path("/proc/meminfo")


def ends_of(config: ModelConfig) -> tuple[str, ...]:
    """Modules that are no blocks of the decoder; model cards, and the splits here, keep them together."""
    parts = (name for name in config.part_weights() if name != "decoder")
    return (*parts, *HEAD_AND_TAIL)


def modules_of(config: ModelConfig) -> tuple[str, ...]:
    """Own names of everything that is placed as a whole: the ends and every block of the decoder."""
    return (*ends_of(config), *(f"decoder.layers.{i}" for i in range(config.decoder.num_hidden_layers)))


def device_of(name: str, devices: Mapping[str, str]) -> str | None:
    """Device of a module or parameter by the longest prefix that fits whole names; None when none does."""
    fitting = [prefix for prefix in devices if not prefix or f"{name}.".startswith(f"{prefix}.")]
    return devices[max(fitting, key=len)] if fitting else None


def split_layers(config: ModelConfig, devices: Sequence[str]) -> dict[str, str]:
    """The model cards' split (docs/facts/devices.md): ceil(L / (n - 1/2)) blocks a device and half of it on
    the first.

    The first device also holds ViT, connector, embeddings, final norm, head and the last block.
    """
    _check_names(devices)
    layers = config.decoder.num_hidden_layers
    share = math.ceil(layers / (len(devices) - 0.5))
    first = math.ceil(share / 2)
    owner = [devices[0]] * first + [device for device in devices[1:] for _ in range(share)]
    # The last block lies beside norm and head, which read what it writes.
    return _placed(config, owner[: layers - 1] + [devices[0]], devices[0])


def _placed(config: ModelConfig, owners: Sequence[str], first: str) -> dict[str, str]:
    """The ends on the first device, every block on its owner."""
    blocks = {f"decoder.layers.{i}": owners[i] for i in range(config.decoder.num_hidden_layers)}
    return dict.fromkeys(ends_of(config), first) | blocks


def balance(
    config: ModelConfig,
    budgets: Mapping[str, int],
    *,
    stored: Stored = "bf16",
    bytes_per_weight: int = 2,
) -> dict[str, str]:
    """Blocks in order over the devices, so that all are filled to about the same share of their budget.

    `budgets`: device -> bytes that weights may take, in order; the first holds the ends. `bytes_per_weight`:
    of what is not int8. Raises ValueError with what is needed and what there is.
    """
    _check_names(tuple(budgets))
    layers = config.decoder.num_hidden_layers
    blockless = config.decoder.model_copy(update={"num_hidden_layers": 0})
    ends, whole = (
        sum(weights.bytes(stored, bytes_per_weight) for weights in sized.part_weights().values())
        for sized in (config.model_copy(update={"decoder": blockless}), config)
    )
    block = (whole - ends) // layers
    taken = [ends] + [0] * (len(budgets) - 1)
    # The lowest share that holds all blocks leaves most room for keys and values.
    for percent in range(1, 101):
        left = [room * percent // 100 - start for room, start in zip(budgets.values(), taken, strict=True)]
        counts = [max(0, size // block) for size in left]
        if left[0] >= 0 and sum(counts) >= layers:
            owners = [device for device, count in zip(budgets, counts, strict=True) for _ in range(count)]
            return _placed(config, owners, next(iter(budgets)))
    there = ", ".join(f"{device} {_gib(size)}" for device, size in budgets.items())
    raise ValueError(
        f"devices: the model needs {_gib(ends)} on the first device and {layers} blocks of {_gib(block)}, "
        f"there are {there}: load it in int8, or add a device"
    )


def free_bytes(device: str) -> int:
    """Bytes that a device has left now."""
    kind = torch.device(device).type
    if kind == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if kind == "cpu":
        return _free_host_bytes()
    raise ValueError(f"devices: free memory of {device!r} is unknown here; give a map of modules instead")


def read_map(
    config: ModelConfig, devices: Mapping[str, str | int], card_names: Sequence[tuple[str, str]] = ()
) -> dict[str, str]:
    """An explicit map, checked, under own names; device numbers are understood.

    `card_names`: (prefix in the model cards' maps, own prefix), `Architecture.card_names`. Raises ValueError
    for a prefix that fits no module, a module that no prefix covers, a block or a ViT that is divided, and a
    head that lies apart from the norm in front of it.
    """
    named = {name: device for name, device in devices.items() if name not in CARD_NAMES_WITHOUT_WEIGHTS}
    own = {_own_name(name, card_names): _device_name(name, device) for name, device in named.items()}
    modules = modules_of(config)
    for prefix in own:
        if prefix and not any(name == prefix or name.startswith(f"{prefix}.") for name in modules):
            raise ValueError(f"devices: {prefix!r} {_what_is_wrong(prefix, modules)}")
    placed = {name: device_of(name, own) for name in modules}
    if bare := [name for name, device in placed.items() if device is None]:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        raise ValueError(f"devices: no entry covers {bare[0]!r}{more}; add it, or '' for everything else")
    tied = ("decoder.embed_tokens",) if config.decoder.tie_word_embeddings else ()
    together = ("decoder.norm", "decoder.lm_head", *tied)
    if len(found := {str(placed[name]) for name in together}) > 1:
        raise ValueError(
            f"devices: {', '.join(together)} lie on {' and '.join(sorted(found))}: put them on one device"
        )
    return {name: str(device) for name, device in placed.items()}


def _free_host_bytes() -> int:
    """Linux counts cached files as available, which `sysconf` does not."""
    said = MEMINFO.read_text(encoding="ascii") if MEMINFO.is_file() else ""
    if found := re.search(r"^MemAvailable:\s+(\d+) kB", said, re.MULTILINE):
        return int(found[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _what_is_wrong(prefix: str, modules: Sequence[str]) -> str:
    if any(prefix.startswith(f"{name}.") for name in modules):
        return "is inside a module that is placed as a whole: name the ViT, the connector or a whole block"
    near = difflib.get_close_matches(prefix, modules, 1)
    return "is no module of this model" + (f"; did you mean {near[0]!r}?" if near else "")


def _own_name(name: str, cards: Sequence[tuple[str, str]]) -> str:
    for card, own in cards:
        if name == card or name.startswith(f"{card}."):
            return own + name.removeprefix(card)
    return name


def _device_name(prefix: str, device: str | int) -> str:
    """A number is a CUDA device, as in the model cards."""
    name = f"cuda:{device}" if isinstance(device, int) else device
    try:
        torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"devices: {prefix!r} -> {device!r} is no device; write cpu, cuda:0 ...") from error
    return name


def _check_names(devices: Sequence[str]) -> None:
    if not devices or len(set(devices)) != len(devices):
        raise ValueError(f"devices = {list(devices)}: name at least one device, each once")
    for device in devices:
        _device_name("", device)


def _gib(size: float) -> str:
    return f"{size / 1024**3:.2f} GiB"
