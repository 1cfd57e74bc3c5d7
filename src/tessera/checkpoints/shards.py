"""Sharded safetensors, read and written one tensor at a time.

A folder holds `model.safetensors`, or `model-00001-of-0000N.safetensors` with
`model.safetensors.index.json`. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_SHARD_BYTES = 5 * 1024**3
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class ShardReader:
    """Tensors of a folder by key; files are opened when they are first needed and closed on exit."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.files = _key_table(self.folder)
        self._open: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.clear()

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor, from the file's header."""
        return tuple(self._handle(key).get_slice(key).get_shape())

    def tensor(self, key: str) -> torch.Tensor:
        """A tensor of its own memory, on the CPU, in the dtype of the file."""
        tensor: torch.Tensor = self._handle(key).get_tensor(key)
        return tensor.clone()  # away from the mapped file, which may be replaced while the model lives

    def place(self, key: str) -> str:
        """The file that holds a key, for messages."""
        return str(self.folder / self.files[key])

    def _handle(self, key: str) -> Any:
        name = self.files[key]
        if name not in self._open:
            self._open[name] = _open_file(self.folder / name)
        if key not in self._open[name].keys():  # noqa: SIM118 - a file handle, not a dict
            raise ValueError(
                f"{self.folder / name} does not hold {key!r} although {INDEX} says so: "
                "the index belongs to other files; fetch the checkpoint again"
            )
        return self._open[name]


def _open_file(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"{path} is missing: {INDEX} names it; fetch the whole checkpoint again")
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): fetch it again") from error


def _key_table(folder: Path) -> dict[str, str]:
    """Key -> file name for everything in the folder."""
    if not folder.is_dir():
        raise ValueError(
            f"checkpoint folder {folder} does not exist; give the folder that holds config and weights"
        )
    if (folder / INDEX).is_file():
        table = _index_table(folder / INDEX)
        if gone := sorted({name for name in table.values() if not (folder / name).is_file()}):
            raise ValueError(
                f"{folder}: shard {', '.join(gone)} is missing: {INDEX} names it; fetch it again"
            )
        return table
    if (folder / SINGLE).is_file():
        return dict.fromkeys(_open_file(folder / SINGLE).keys(), SINGLE)
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    if shards:
        raise ValueError(f"{folder} holds {shards[0]} but neither {SINGLE} nor {INDEX}: fetch the index too")
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles:
        raise ValueError(
            f"{folder} holds only pickled weights ({pickles[0]}), which run code when opened: "
            "convert them to safetensors first"
        )
    raise ValueError(f"{folder} holds no {SINGLE}: give the folder of a checkpoint")


def _index_table(path: Path) -> dict[str, str]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no shard index ({error!r}): fetch it again") from error
    if not isinstance(table, dict) or not table:
        raise ValueError(f"{path}: weight_map is empty or no table: fetch the index again")
    for key, name in table.items():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(
                f"{path}: {key!r} points to {name!r}, which is no safetensors file in this folder"
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
        if tensor.data_ptr() in seen:
            tensors[key] = tensor.clone()
        seen.add(tensor.data_ptr())
    save_file(tensors, _part_path(root, number), metadata={"format": "pt"})
    return list(tensors)


def _swap_in(root: Path, written: list[list[str]], total: int) -> None:
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
