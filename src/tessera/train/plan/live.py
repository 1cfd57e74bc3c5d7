"""Bytes that are alive while a computation runs, counted on tensors without memory.

The computation is the one that runs: the same modules, the same attention, the same autograd. So what it
keeps for the backward pass needs no formula, and a change of the code is counted without a change here.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tessera.nn.attention.cpu.short import forget_masks


class LiveBytes(TorchDispatchMode):
    """Counts storages that operators make until they are gone.

    `peaks`: by phase, the most bytes at once, and how many of them were finished gradients.
    """

    def __init__(self, besides: Iterable[torch.Tensor] = ()) -> None:
        """Tensors `besides` are counted elsewhere, and so are their views."""
        super().__init__()
        self._besides = list(besides)
        self.live = self.gradients = 0
        self.peaks: dict[str, tuple[int, int]] = {}
        self._phase = ""
        self._known = {tensor.untyped_storage()._cdata: 0 for tensor in self._besides}

    def enter(self, phase: str) -> None:
        """What follows belongs to another phase."""
        self._phase = phase
        self._look()

    def finish(self, gradient: torch.Tensor) -> None:
        """A gradient is done and stays."""
        self.gradients += gradient.untyped_storage().nbytes()

    def _look(self) -> None:
        now = self.live, self.gradients
        self.peaks[self._phase] = max(self.peaks.get(self._phase, now), now)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._add(leaf.untyped_storage())
        self._look()
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known[key] = storage.nbytes()
            self.live += storage.nbytes()
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.live -= self._known.pop(key, 0)


@contextmanager
def without_numbers() -> Iterator[FakeTensorMode]:
    """Tensors made inside have shapes, dtypes and a device, and no memory. What is cached for good elsewhere
    is made anew before and behind: it must not be of the other kind."""
    forget_masks()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            yield mode
    finally:
        forget_masks()
