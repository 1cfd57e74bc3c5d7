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

from tessera.checkpoints.files.weight_files import WeightFile, open_file
from tessera.runtime.disk import disk_faults

SINGLE, SINGLE_BIN = "model.safetensors", "pytorch_model.bin"
INDEX, INDEX_BIN = f"{SINGLE}.index.json", f"{SINGLE_BIN}.index.json"
MAX_SHARD_BYTES = 5 * 1024**3
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


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
    """Tensors of a folder by key.

    One file is mapped at a time: whoever reads the keys in the order of their files never has more than one
    shard in memory beside what was copied.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.files = _key_table(self.folder)
        self._name = ""
        self._handle: WeightFile | None = None

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
        name = self.files[key]
        if self._handle is None or name != self._name:
            self._name, self._handle = name, None  # the old mapping goes before the new one comes
            self._handle = open_file(self.folder / name)
        if key not in self._handle.keys:
            raise ValueError(
                f"{self.folder / name} does not hold {key!r} although the index says so: "
                "the index belongs to other files; fetch the checkpoint again"
            )
        return self._handle


def holds_weights(folder: Path) -> bool:
    """Whether there is a file of weights or an index of them."""
    return any((folder / name).is_file() for name in (INDEX, SINGLE, INDEX_BIN, SINGLE_BIN))


def _key_table(folder: Path) -> dict[str, str]:
    """Key -> file name for everything in the folder; safetensors win over pickles."""
    if not folder.is_dir():
        raise ValueError(
            f"checkpoint folder {folder} does not exist; give the folder that holds config and weights"
        )
    for index, single in ((INDEX, SINGLE), (INDEX_BIN, SINGLE_BIN)):
        if (folder / index).is_file():
            table = _index_table(folder / index, Path(single).suffix)
            if gone := sorted({name for name in table.values() if not (folder / name).is_file()}):
                raise ValueError(
                    f"{folder}: shard {', '.join(gone)} is missing: {index} names it; fetch it again"
                )
            return table
        if (folder / single).is_file():
            return dict.fromkeys(sorted(open_file(folder / single).keys), single)
    raise ValueError(_what_is_missing(folder))


def _what_is_missing(folder: Path) -> str:
    if shards := sorted(path.name for path in folder.glob("*.safetensors")):
        return f"{folder} holds {shards[0]} but neither {SINGLE} nor {INDEX}: fetch the index too"
    if pickles := sorted(path.name for pattern in PICKLES for path in folder.glob(pattern)):
        return (
            f"{folder} holds {pickles[0]} but neither {SINGLE_BIN} nor {INDEX_BIN}: fetch the whole "
            "checkpoint again, best as safetensors"
        )
    return f"{folder} holds no {SINGLE}: give the folder of a checkpoint"


def _index_table(path: Path, ending: str) -> dict[str, str]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no shard index ({error!r}): fetch it again") from error
    if not isinstance(table, dict) or not table:
        raise ValueError(f"{path}: weight_map is empty or no table: fetch the index again")
    for key, name in table.items():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(ending):
            raise ValueError(
                f"{path}: {key!r} points to {name!r}, which is no {ending[1:]} file in this folder"
            )
    return table


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
