"""Weights in bfloat16 with float32 masters behind those that training changes.

A step of training is often smaller than half of a bfloat16 weight's last place: added to the weight itself it
would be lost. So the optimizer adds it to a float32 master, and the weight is the master, rounded
(mixed precision of https://arxiv.org/abs/1710.03740, without loss scaling, which bfloat16 doesn't need).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from tessera.nn.lora import own_name
from tessera.train.parallel.shard import part_of, spread_alike, whole_tensor

Precision = Literal["float32", "bfloat16"]


class Masters:
    """The exact values of a model's weights, and the dtype each of them had at the start.

    With float32 the weights are exact themselves. With bfloat16 there is a float32 value behind each weight
    that rounding changed, or that an optimizer trained. Scalars (a temperature) stay float32.
    """

    def __init__(self, precision: Precision = "float32") -> None:
        self._dtype = torch.float32 if precision == "float32" else torch.bfloat16
        self._values: dict[str, torch.Tensor] = {}
        self._stored: dict[str, torch.dtype] = {}

    def hold(self, model: nn.Module, path: str = "") -> None:
        """Cast the floating weights of a model in place, or of its part with this path; call it again when
        there are new ones."""
        for name, parameter in _own_parameters(model, path):
            if not parameter.is_floating_point():
                continue
            exact = parameter.detach()
            self._stored.setdefault(name, exact.dtype)
            dtype = self._dtype if parameter.dim() else torch.float32
            if exact.dtype != dtype:
                parameter.data = exact.to(dtype)
                if not torch.equal(parameter.data.to(exact.dtype), exact):
                    self._values[name] = exact.float()

    def master(self, name: str, parameter: nn.Parameter, offload: bool = False) -> torch.Tensor:
        """The float32 tensor to change, with the weight or with the host; a float32 weight is its own."""
        if parameter.dtype == torch.float32:
            return parameter.detach()
        exact = self._values.get(name)
        exact = parameter.detach().float() if exact is None else exact
        self._values[name] = at_home(exact) if offload else exact.to(parameter.device)
        return self._values[name]

    def rest(self, trained: set[str]) -> None:
        """Keep the values of weights that are not `trained` now in the memory of the host."""
        for name in self._values.keys() - trained:
            self._values[name] = self._values[name].cpu()

    @contextmanager
    def around(self, path: str, part: nn.Module) -> Iterator[None]:
        """Inside, the weights of the part of a model with this path are shared out: they are held before, and
        values shared like them behind it."""
        self.hold(part, path)
        yield
        for name, parameter in _own_parameters(part, path):
            if name in self._values and not spread_alike(self._values[name], parameter):
                self._values[name] = part_of(whole_tensor(self._values[name]), parameter)

    def exact(self, model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
        """Names and values to go on with: float32 where there is a master, else the weight."""
        for name, parameter in _own_parameters(model):
            yield name, self.value(name, parameter)

    def value(self, name: str, parameter: nn.Parameter) -> torch.Tensor:
        """The exact value of one weight: its master, else itself."""
        return self._values.get(name, parameter.detach())

    def pop(self, name: str, parameter: nn.Parameter) -> torch.Tensor:
        """The exact value of a weight that goes, on its device; nothing of it is kept."""
        self._stored.pop(name, None)
        return self._values.pop(name, parameter.detach()).to(parameter.device)

    def as_stored(
        self, model: nn.Module, instead: Mapping[str, torch.Tensor], dtype: torch.dtype | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Names and values to publish, in `dtype` or each in that of its start; `instead` goes before."""
        for name, value in self.exact(model):
            yield name, instead.get(name, value).to(dtype or self._stored.get(name, value.dtype))

    @torch.no_grad()
    def load(self, name: str, parameter: nn.Parameter, exact: torch.Tensor) -> None:
        """Set a weight to a value that `exact` gave."""
        parameter.copy_(exact)
        if name in self._values:
            self._values[name].copy_(exact)
        elif exact.dtype != parameter.dtype:
            self._values[name] = exact.float()


def at_home(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in the host's memory, pinned where an accelerator will fetch it; a sharded one is not."""
    home = tensor.detach().cpu()
    return home.pin_memory() if torch.cuda.is_available() and type(home) is torch.Tensor else home


def _own_parameters(model: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Parameter]]:
    return ((own_name(name), parameter) for name, parameter in model.named_parameters(path))
