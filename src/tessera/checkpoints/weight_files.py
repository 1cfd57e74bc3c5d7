"""One file of weights: safetensors, or torch's older `.bin`.

A `.bin` file is a pickle: it is opened in torch's weights-only mode, which runs no code from it, and in no
other way.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open


class WeightFile(Protocol):
    """An opened file: what it holds, sizes from its header, tensors as windows into it."""

    keys: frozenset[str]

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor."""

    def tensor(self, key: str) -> torch.Tensor:
        """A tensor on the CPU."""


class _Safetensors:
    def __init__(self, path: Path) -> None:
        try:
            self._file = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged ({error}): fetch it again") from error
        self.keys = frozenset(self._file.keys())

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._file.get_slice(key).get_shape())

    def tensor(self, key: str) -> torch.Tensor:
        found: torch.Tensor = self._file.get_tensor(key)
        return found


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
            f"{path} asks for more than tensors, which would run code from the file: it is not opened; "
            "fetch the checkpoint as safetensors"
        ) from error
    except (RuntimeError, EOFError) as error:
        raise ValueError(
            f"{path} is damaged or in torch's format of before 1.6 ({str(error)[:80]}): "
            "fetch it again, or save it once more with a newer torch"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise ValueError(f"{path} is no table of tensors: give the weights of a model, not a training state")
    return content


def open_file(path: Path) -> WeightFile:
    """A file of weights by its ending; ValueError when missing, damaged or asking for more than tensors."""
    if not path.is_file():
        raise ValueError(f"{path} is missing: the index names it; fetch the whole checkpoint again")
    return _Safetensors(path) if path.suffix == ".safetensors" else _Bin(path)
