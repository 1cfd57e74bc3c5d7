"""The end of a fine-tune with LoRA: one model that needs no adapter."""

from pathlib import Path

import torch

from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.conversion.convert import Conversion, convert
from tessera.checkpoints.description import LayoutName
from tessera.runtime.progress import Progress, silent


def merge_adapter(
    adapter: str | Path,
    target: Path,
    layout: LayoutName | None = None,
    base: str | Path | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> Conversion:
    """Write an adapter's base with the adapter merged in, into the new or empty folder `target`.

    `base`: its model, None the one that it names; `layout`: None keeps the base's. Tensor by tensor: the
    matrices that training may have held in few bits are the stored ones here. Logits of base and adapter
    apart are compared with those of the merged model, `Conversion.agreement`. ValueError, and no target,
    where they differ by more than rounding, or the base is not here.
    """
    found = find_with_adapter(adapter) if base is None else find_with_adapter(base, adapter)
    return convert(found[0], target, layout, adapter=found[1], device=device, progress=progress)
