"""Tensors of a state on the disk: each process writes what it holds, and reads what it needs of all files.

Files are safetensors in the form of PyTorch's distributed checkpoints (`torch.distributed.checkpoint`,
hf_storage.py of torch 2.11): names are those of whole tensors, and the header says where a part begins.
PyTorch reads them for any other number of processes. Its writer is not used: it makes a second copy of all in
memory, and meets the other ranks in collectives while they train.
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint import HuggingFaceStorageReader, load
from torch.distributed.checkpoint.default_planner import create_default_local_save_plan
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.tensor import DTensor

from tessera.train.parallel.mesh import ProcessMesh

Part = tuple[torch.Tensor, tuple[int, ...]]
"""What this process writes of a tensor, and where it begins in the whole."""


def own_parts(
    tensors: Mapping[str, torch.Tensor], mesh: ProcessMesh, copied: bool = False
) -> dict[str, Part]:
    """What this process writes, in host memory; of equal parts one process writes one.

    copied: they may change while they are written.
    """
    parts: dict[str, Part] = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, DTensor):
            if mesh.ranks.leads:
                parts[name] = _on_host(tensor, copied), (0,) * tensor.dim()
            continue
        part = tensor.to_local()
        if part.numel() and _is_first(tensor, mesh):
            (item,) = create_default_local_save_plan({name: tensor}, is_coordinator=False).items
            assert item.tensor_data is not None
            parts[name] = _on_host(part, copied), tuple(item.tensor_data.chunk.offsets)
    return parts


def _is_first(tensor: DTensor, mesh: ProcessMesh) -> bool:
    """Whether no process before this one holds the same part."""
    over = tensor.device_mesh
    copies = [over.get_local_rank(dim) for dim, how in enumerate(tensor.placements) if how.is_replicate()]
    if mesh.tensor is not None and "tensor" not in (over.mesh_dim_names or ()):
        copies.append(mesh.tensor.get_local_rank())
    return not any(copies)


def _on_host(tensor: torch.Tensor, copied: bool) -> torch.Tensor:
    tensor = tensor.detach()
    moved = tensor.cpu().contiguous()
    return moved.clone() if copied and moved.data_ptr() == tensor.data_ptr() else moved


def write_parts(file: Path, parts: Mapping[str, Part]) -> None:
    """One file of a state."""
    starts = {name: {"saved_offsets": start} for name, (_, start) in parts.items()}
    header = {"format": "pt", "DCP_VERSION": "1.0", "DCP_SHARDING_INFO": json.dumps(starts)}
    save_file({name: part for name, (part, _) in parts.items()}, file, metadata=header)


def stored(folder: Path) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Names, whole shapes and dtypes of what the files of a state hold together."""
    found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    return {
        name: (tuple(entry.size), entry.properties.dtype)
        for name, entry in found.items()
        if isinstance(entry, TensorStorageMetadata)
    }


def read_parts(folder: Path, into: dict[str, torch.Tensor]) -> None:
    """Fill tensors, whole or sharded in any way, from the files of a state: each process reads its part."""
    with warnings.catch_warnings():
        # It warns of what `no_dist` asks for.
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        load(into, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
