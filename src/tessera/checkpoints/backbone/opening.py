"""Open a vision encoder: find it alone or in a model, choose device and number format, say what it is."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.checkpoints.bases.parts import VisionBase, stored_dtype
from tessera.checkpoints.fill import fill
from tessera.checkpoints.hub import find_checkpoint
from tessera.checkpoints.load import open_weights
from tessera.checkpoints.shipped import shipped_folder
from tessera.checkpoints.surgery import part_tensors
from tessera.models.config import VisionConfig
from tessera.models.initialise import initialise, without_memory
from tessera.models.vision.internvit import VisionTransformer
from tessera.nn.linear import LinearKind
from tessera.runtime.device import choose_device, choose_dtype
from tessera.runtime.shown import shown

PART = "vision."
logger = logging.getLogger("tessera")


def open_vision(
    name_or_folder: str | Path | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    config: Mapping[str, Any] | None = None,
    linears: LinearKind | None = None,
) -> VisionEncoder:
    """`tessera.load_vision`; its docstring says what the arguments mean. linears: what matrices are loaded
    into; None packs them on a CPU, which has no gradients."""
    folder = _place(name_or_folder)
    base = VisionBase.find(folder, config)
    if type(base.config) is not VisionConfig:
        raise ValueError(f"{shown(folder)} has no InternViT, only patch embeddings; give another model")
    where = choose_device(str(device))
    kind = _dtype(base.folder, dtype, where)
    with without_memory():
        module = VisionTransformer(base.config)
    packed: LinearKind = "packed" if where.type == "cpu" else "plain"
    with _tensors(base, module, kind) as (read, notes):
        fill(module, read, where, kind, linears=linears or packed)
    encoder = VisionEncoder(_name(base, folder), module.eval(), **base.pixels, notes=notes)
    logger.info("%r", encoder)
    for note in notes:
        logger.warning("%s: %s", encoder.name, note)
    return encoder


def untrained(encoder: VisionEncoder, seed: int = 0) -> VisionEncoder:
    """The same encoder with weights drawn anew: what a trained one is compared with."""
    module = VisionTransformer(encoder.config)
    initialise(module, seed)
    module = module.to(encoder.device, encoder.dtype).eval()
    return replace(encoder, name=f"{encoder.name}, untrained", module=module)


def _place(name_or_folder: str | Path | None) -> Path:
    """A folder, or one file of weights."""
    if name_or_folder is None:
        return shipped_folder("vision")
    path = Path(name_or_folder).expanduser()
    return path if path.is_file() else find_checkpoint(name_or_folder, alone=True)


def _name(base: VisionBase, folder: Path) -> str:
    return folder.name if base.whole is None else f"ViT of {base.whole.name}"


@contextmanager
def _tensors(
    base: VisionBase, module: VisionTransformer, dtype: torch.dtype
) -> Iterator[tuple[Iterator[tuple[str, torch.Tensor]], tuple[str, ...]]]:
    """The encoder's own names and tensors, and what is to be said of them. Those of a model come as the model
    reads them: LoRA merged, 8 bits as floats."""
    if base.whole is None:
        read = part_tensors(module, "vision", base.folder, base.resized(base.config.grid))
        yield _inner(read), ()
        return
    with open_weights(base.folder, dtype, merge_lora=True) as found:
        others = [group for group in found.groups if not group.own[0].startswith(PART)]
        yield _inner(found.tensors(but=others)), (*found.described.notes, *found.as_floats)


def _inner(read: Iterator[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name.removeprefix(PART), tensor) for name, tensor in read)


def _dtype(weights: Path, wanted: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The number format by name; "auto" is the stored one, but never float16 on a CPU."""
    if isinstance(wanted, torch.dtype):
        wanted = str(wanted).removeprefix("torch.")
    if wanted != "auto":
        return choose_dtype(wanted, device)
    stored = stored_dtype(weights)
    return torch.bfloat16 if stored == torch.float16 and device.type == "cpu" else stored
