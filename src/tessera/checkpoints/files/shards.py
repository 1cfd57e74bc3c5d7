"""Sharded weights, read and written one tensor at a time.

A folder holds `model.safetensors`, or `model-00001-of-0000N.safetensors` with
`model.safetensors.index.json`; older ones hold `pytorch_model.bin` in the same two forms.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import save_file

from tessera.checkpoints.files.folder import INDEX, SINGLE, WeightSet, find_weights
from tessera.checkpoints.files.weight_files import WeightFile, open_file
from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown

MAX_SHARD_BYTES = 5 * 1024**3
IGNORED_ENDINGS = (".rotary_emb.inv_freq",)
"""Buffers that old files carry and that follow from the config."""


class TensorSource(ABC):
    """Stored tensors by key: a folder's shards, or a view that changes some of them on the way."""

    folder: Path
    files: Mapping[str, str]
    """Key -> file name."""

    @abstractmethod
    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor, from the file's header."""

    @abstractmethod
    def tensor(self, key: str) -> torch.Tensor:
        """A tensor on the CPU; it may be a window into a mapped file, so copy what you keep."""

    def place(self, key: str) -> str:
        """The file that holds a key, for messages."""
        return str(self.folder / self.files[key])


class ShardReader(TensorSource):
    """Tensors of a folder by key, or those of one file.

    One file is mapped at a time: whoever reads the keys in the order of their files never has more than one
    shard in memory beside what was copied.
    """

    def __init__(self, folder: str | Path) -> None:
        root = Path(folder)
        alone = root.is_file()
        self.folder = root.parent if alone else root
        found, self.notes = (WeightSet(frozenset((root.name,))), ()) if alone else find_weights(root)
        self._name = ""
        self._handle: WeightFile | None = None
        self.files = self._key_table(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._name, self._handle = "", None

    def size_on_disk(self) -> int:
        """Bytes of all files."""
        return sum((self.folder / name).stat().st_size for name in set(self.files.values()))

    def shape(self, key: str) -> tuple[int, ...]:
        return self._file(key).shape(key)

    def tensor(self, key: str) -> torch.Tensor:
        return self._file(key).tensor(key)

    def _file(self, key: str) -> WeightFile:
        return self._open(self.files[key])

    def _open(self, name: str) -> WeightFile:
        if self._handle is None or name != self._name:
            self._name, self._handle = name, None  # the old mapping goes before the new one comes
            self._handle = open_file(self.folder / name)
        return self._handle

    def _key_table(self, found: WeightSet) -> dict[str, str]:
        """Key -> file name, as every file says itself; an index that says something else is stale."""
        if gone := sorted(name for name in found.names if not (self.folder / name).is_file()):
            raise ValueError(
                f"{self.folder}: shard {', '.join(gone)} is missing: {found.index} names it; fetch it again"
            )
        said, place = dict(found.table), self.folder / found.index
        held = {name: self._open(name).keys for name in sorted(found.names)}
        if not said:
            return {key: name for name, keys in held.items() for key in sorted(keys)}
        for key, name in said.items():
            if key not in held[name]:
                raise ValueError(
                    f"{self.folder / name} does not hold {shown(key)} although the index says so: "
                    "the index belongs to other files; fetch the checkpoint again"
                )
        more = [(key, name) for name, keys in held.items() for key in sorted(keys) if said.get(key) != name]
        for key, name in more:
            if not key.endswith(IGNORED_ENDINGS):
                where = f"places in {said[key]}" if key in said else "does not name"
                raise ValueError(
                    f"{place} is stale: {name} holds {shown(key)}, which the index {where}; "
                    f"{len(said)} tensors are named, {len(said) + len(more)} there: fetch both again"
                )
        return said


def write_shards(
    folder: str | Path, tensors: Iterable[tuple[str, torch.Tensor]], max_bytes: int = MAX_SHARD_BYTES
) -> None:
    """Write tensors in the order given, a new shard whenever one would exceed `max_bytes`.

    Files are written beside and renamed at the end; weights of an earlier save in the folder are removed.
    """
    root = Path(folder)
    if max_bytes < 1:
        raise ValueError(f"max_bytes = {max_bytes}: a shard needs at least 1 byte")
    root.mkdir(parents=True, exist_ok=True)
    written: list[list[str]] = []
    batch: dict[str, torch.Tensor] = {}
    total = size = 0
    for key, tensor in tensors:
        # A tensor larger than a shard gets one of its own.
        if batch and size + tensor.nbytes > max_bytes:
            written.append(_write_part(root, len(written), batch))
            batch, size = {}, 0
        batch[key] = tensor.detach().cpu().contiguous()
        size += tensor.nbytes
        total += tensor.nbytes
    written.append(_write_part(root, len(written), batch))
    _swap_in(root, written, total)


def _part_path(root: Path, number: int) -> Path:
    return root / f"writing-{number:05d}.safetensors.part"


def _write_part(root: Path, number: int, tensors: dict[str, torch.Tensor]) -> list[str]:
    # Clones only where two names share memory, which safetensors refuses.
    seen: set[int] = set()
    for key, tensor in tensors.items():
        storage = tensor.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() > tensor.nbytes:
            tensors[key] = tensor.clone()
        seen.add(storage.data_ptr())
    path = _part_path(root, number)
    with disk_faults(root):
        path.touch()
        # As the user's mask has it; safetensors makes files that others cannot read.
        mode = path.stat().st_mode
        save_file(tensors, path, metadata={"format": "pt"})
        path.chmod(mode)
    return list(tensors)


def _swap_in(root: Path, written: list[list[str]], total: int) -> None:
    # Shards of a longer save would stay beside the new index and be taken for weights.
    for old in [*root.glob("model*.safetensors"), root / INDEX]:
        old.unlink(missing_ok=True)
    if len(written) == 1:
        _part_path(root, 0).rename(root / SINGLE)
        return
    table: dict[str, str] = {}
    for number, keys in enumerate(written):
        name = f"model-{number + 1:05d}-of-{len(written):05d}.safetensors"
        _part_path(root, number).rename(root / name)
        table |= dict.fromkeys(keys, name)
    index = {"metadata": {"total_size": total}, "weight_map": table}
    (root / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
