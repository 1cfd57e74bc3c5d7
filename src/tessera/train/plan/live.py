"""Tensors that have a shape, a dtype and a device, but no memory; and a book of the bytes they would take.

PyTorch's fake tensors do the first. The code that trains runs on them as it is, on the route of the device
that they name, so the book shows what it holds at each moment: it is counted, not estimated by formula.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager
from torch.utils._pytree import tree_leaves

Moment = tuple[str | int, ...]
"""Where a step stands, such as ("decoder", "first", "backward")."""


class Held(NamedTuple):
    """What a storage is held for."""

    kind: str
    owner: str = ""
    """The stack whose every further block holds as much; "" for none."""
    small: bool = False
    """Whether it comes out of a process's heap on a CPU."""


MOST_SMALL = 2**25
"""Bytes from which glibc takes a storage from the system and gives it back at once, whatever was freed before
(DEFAULT_MMAP_THRESHOLD_MAX, mallopt(3))."""
HOST = "host"
"""Kind of what lies with the host while the model is on an accelerator; peaks are those of the device."""
SMALL = 2**24
"""Bytes of a tensor made from nothing up to which it is real: tables that modules keep for later runs."""
DEVICE = torch.ops.prim.device.default
"""Asked of every tensor, several times an operator: half of all calls."""
ATEN = torch.ops.aten
VIEWS = frozenset(
    {
        *(ATEN.slice.Tensor, ATEN.view.default, ATEN.transpose.int, ATEN.unsqueeze.default),
        *(ATEN.t.default, ATEN.expand.default, ATEN.permute.default, ATEN.select.int, ATEN.alias.default),
    }
)
"""One tensor of the storage of another."""
INTO = {
    **dict.fromkeys((ATEN.bmm.out, ATEN.softmax.int_out, ATEN._softmax.out), "out"),
    ATEN._softmax_backward_data.out: "grad_input",
}
"""Operators that write into a tensor given by this name; those in place write into their first."""
IN_PLACE = frozenset({ATEN.add_.Tensor, ATEN.mul_.Tensor, ATEN.mul_.Scalar, ATEN.copy_.default})


class MemoryBook(FakeTensorMode):
    """Within it operators on fake tensors allocate nothing, and every storage that comes and goes is booked.

    Operators on real tensors alone (token ids, lengths) run for real: their values decide what is computed.
    `peaks` has the fullest instant of each moment, bytes by kind and owner.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self.device = device
        self.kind, self.owner, self.moment = "", "", Moment()
        self.held: Counter[Held] = Counter()
        self.peaks: dict[Moment, Counter[Held]] = {}
        self._total, self._fullest = 0, dict[Moment, int]()
        self._held: dict[int, Held] = {}
        self._alive: dict[int, weakref.ref[Any]] = {}
        self._forced = self._inside = False

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute an operator without memory, or for real, and book what it returns."""
        kwargs = kwargs or {}
        if func is DEVICE:
            return args[0].fake_device if isinstance(args[0], FakeTensor) else args[0].device
        if (known := self._without_storage(func, args, kwargs)) is not None:
            return known
        if self._inside:  # how an operator is put together for its shapes; the real one is a kernel
            return super().dispatch(func, types, args, kwargs)
        if not self._forced and _for_real(args, kwargs):
            out = func(*args, **kwargs)
        else:
            self._inside = True
            try:
                out = super().dispatch(func, types, args, kwargs)
            finally:
                self._inside = False
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._book(tensor)
        return out

    def _without_storage(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor | None:
        """The result of operators on fake tensors that make no storage, the most frequent of all on CPUs.

        As FakeTensorMode does it, which takes four times as long: goes when that is as fast.
        """
        if func in VIEWS and isinstance(args[0], FakeTensor):
            with in_kernel_invocation_manager(self):
                return FakeTensor(self, func(*args, **kwargs), args[0].fake_device)
        into = args[0] if func in IN_PLACE else kwargs.get(INTO[func]) if func in INTO else None
        return into if isinstance(into, FakeTensor) and into.numel() else None

    def empty(self, shape: Iterable[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """A tensor without memory, whatever its size."""
        self._forced = True
        try:
            with self:
                return torch.empty(tuple(shape), dtype=dtype, device=device)
        finally:
            self._forced = False

    def rename(self, tensor: torch.Tensor, kind: str) -> None:
        """What a tensor's storage is held for, from here on; the host's stays the host's."""
        before = self._held.get(id(tensor.untyped_storage()), Held(HOST))
        if before.kind != HOST:
            self._change(tensor, before._replace(kind=kind))

    def own(self, tensor: torch.Tensor, owner: str) -> None:
        """Every further block of the stack `owner` holds such a tensor."""
        if (held := self._held.get(id(tensor.untyped_storage()))) is not None:
            self._change(tensor, held._replace(owner=owner))

    def owner_of(self, tensor: torch.Tensor) -> str:
        """As `own` was told."""
        return self._held.get(id(tensor.untyped_storage()), Held("")).owner

    @contextmanager
    def booked_as(self, kind: str) -> Iterator[None]:
        """Storages made within it are held for this."""
        before, self.kind = self.kind, kind
        try:
            yield
        finally:
            self.kind = before

    def at(self, moment: Moment, kind: str, owner: str = "") -> None:
        """A moment begins; what is made from here on is held for `kind` and owned so."""
        self.moment, self.kind, self.owner = moment, kind, owner
        self._look()

    def _change(self, tensor: torch.Tensor, held: Held) -> None:
        key, size = id(tensor.untyped_storage()), tensor.untyped_storage().nbytes()
        self.held[self._held[key]] -= size
        self.held[held] += size
        self._held[key] = held

    def _book(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._held or not size:
            return
        kind = self.kind if tensor.device.type == self.device.type else HOST
        held = Held(kind, self.owner, size < MOST_SMALL)
        self._held[key] = held
        self.held[held] += size
        if held.kind != HOST:
            self._total += size
        self._alive[key] = weakref.ref(storage, lambda _: self._gone(key, size))
        self._look()

    def _gone(self, key: int, size: int) -> None:
        held = self._held.pop(key)
        self.held[held] -= size
        if held.kind != HOST:
            self._total -= size
        del self._alive[key]

    def _look(self) -> None:
        if self._total > self._fullest.get(self.moment, -1):
            self.peaks[self.moment], self._fullest[self.moment] = self.held.copy(), self._total


def _for_real(args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether an operator has real inputs alone, or makes a small tensor from nothing on the CPU."""
    device = kwargs.get("device")
    if device is not None and torch.device(device).type != "cpu":
        return False
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    if tensors:
        return not any(isinstance(tensor, FakeTensor) for tensor in tensors)
    numbers = 1
    shape = args[0] if args and isinstance(args[0], (list, tuple, torch.Size)) else ()
    for size in shape:
        numbers *= int(size)
    return numbers * 4 <= SMALL


def materialise(model: nn.Module, book: MemoryBook, device: torch.device, dtype: torch.dtype) -> None:
    """Give a model on the meta device parameters and buffers of the book; matrices and vectors in `dtype`,
    scalars in float32. Tied ones stay tied."""
    made: dict[int, torch.Tensor] = {}

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            kept = dtype if tensor.is_floating_point() and tensor.dim() else tensor.dtype
            new = book.empty(tensor.shape, kept, device)
            made[id(tensor)] = nn.Parameter(new) if isinstance(tensor, nn.Parameter) else new
        return made[id(tensor)]

    for module in model.modules():
        for own in (module._parameters, module._buffers):
            for name, tensor in own.items():
                if tensor is not None:
                    own[name] = fake(tensor)  # type: ignore[assignment]
