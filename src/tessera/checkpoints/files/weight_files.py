"""One file of weights: safetensors, or torch's older `.bin`.

A `.bin` file is a pickle: it is opened in torch's weights-only mode, which runs no code from it, and in no
other way.
"""

import json
import mmap
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open

from tessera.runtime.shown import shown

MAX_HEADER = 32 * 1024**2
"""Some hundred bytes a tensor: room for 200,000 of them."""
MAPPED = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
    "I8": torch.int8,
    "U8": torch.uint8,
}
"""safetensors' names of what weights are made of."""
LOOSE = (".pth", ".pt")
"""Endings of one file that holds a vision encoder, as code for classification and segmentation saves it."""
WRAPPERS = ("module", "state_dict", "model")
"""Under which of its entries such a file has the tensors."""


BROKEN = (
    *(RuntimeError, OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError),
    *(AssertionError, MemoryError, zipfile.BadZipFile, struct.error),
)


class WeightFile(Protocol):
    """An opened file: what it holds, sizes from its header, tensors as windows into it."""

    keys: frozenset[str]

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor."""

    def tensor(self, key: str) -> torch.Tensor:
        """A tensor on the CPU."""


class _Safetensors:
    """Every tensor is a mapping of its own, which goes when the tensor goes: what has been read and copied
    takes no memory, and what is kept is read when it is used."""

    def __init__(self, path: Path) -> None:
        try:
            self._stream = path.open("rb")
            size = int.from_bytes(self._stream.read(8), "little")
            if size > MAX_HEADER:
                raise ValueError(f"its header has {size} bytes, which no model has")
            self._file = safe_open(path, framework="pt")
        except (SafetensorError, OSError, ValueError) as error:
            raise ValueError(f"{shown(path)} is damaged ({shown(error)}): fetch it again") from error
        self.keys = frozenset(self._file.keys())
        self._header = json.loads(self._stream.read(size))  # safe_open has checked it
        self._data = 8 + size

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._header[key]["shape"])

    def tensor(self, key: str) -> torch.Tensor:
        entry = self._header[key]
        start, end = (self._data + offset for offset in entry["data_offsets"])
        dtype = MAPPED.get(entry["dtype"])
        # What can't be mapped is copied: other dtypes, empty tensors, odd offsets.
        if dtype is None or start == end or start % dtype.itemsize:
            found: torch.Tensor = self._file.get_tensor(key)
            return found
        # The system maps from the start of a page only.
        page = start - start % mmap.ALLOCATIONGRANULARITY
        mapped = mmap.mmap(self._stream.fileno(), end - page, access=mmap.ACCESS_COPY, offset=page)
        flat = torch.frombuffer(mapped, dtype=dtype, offset=start - page)
        return flat.view(entry["shape"])


class _Bin:
    def __init__(self, path: Path) -> None:
        self._tensors = _load_weights_only(path)
        self.keys = frozenset(self._tensors)

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._tensors[key].shape)

    def tensor(self, key: str) -> torch.Tensor:
        return self._tensors[key]


def _load_weights_only(path: Path) -> dict[str, torch.Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{shown(path)} asks for more than tensors, which would run code from the file: it is not "
            "opened; fetch the checkpoint as safetensors"
        ) from error
    # What a damaged table of tensors makes its reader stumble over is not fixed.
    except BROKEN as error:
        raise ValueError(
            f"{shown(path)} is damaged or in torch's format of before 1.6 ({shown(error)}): "
            "fetch it again, or save it once more with a newer torch"
        ) from error
    if path.suffix in LOOSE and isinstance(content, dict):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), content)
    # Trainers save optimizer states under the same ending.
    if not isinstance(content, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items()
    ):
        raise ValueError(
            f"{shown(path)} is no table of tensors: give the weights of a model, not a training state"
        )
    return content


def open_file(path: Path) -> WeightFile:
    """A file of weights by its ending; ValueError when missing, damaged or asking for more than tensors."""
    if not path.is_file():
        raise ValueError(f"{path} is missing: the index names it; fetch the whole checkpoint again")
    return _Safetensors(path) if path.suffix == ".safetensors" else _Bin(path)
