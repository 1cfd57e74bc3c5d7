"""Parts of an optimizer: some weights with one rate and decay, their memory, and torch's update of them.

A part asks nothing of the device: whether the step counts is a tensor (`finite`), and so is what divides the
gradients. All is done tensor by tensor, so sharded tensors go through as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.adamw import adamw

from tessera.train.parallel.shard import local_parts
from tessera.train.update.config import OptimizerConfig
from tessera.train.update.masters import at_home

Weights = Mapping[str, tuple[nn.Parameter, torch.Tensor]]
"""Name -> the model's weight, and the float32 master that is updated; a float32 weight is its own."""
Memory = dict[str, torch.Tensor]
"""What is remembered of one weight, by field."""
AVERAGE = "average"


@dataclass(frozen=True)
class Stride:
    """One step of all parts: the rates' factor, what divides gradients, and whether the step counts."""

    factor: float
    divisor: torch.Tensor
    """float32 scalar; clipping."""
    finite: torch.Tensor
    """bool scalar; where it is false nothing changes."""


class Part:
    """Weights that are updated together, with the optimizer's memory of each.

    With `config.offload` masters and memory lie with the host and visit the weights' device in the step.
    """

    FIELDS: tuple[str, ...]
    """What is remembered, each like the master."""

    def __init__(self, weights: Weights, rate: float, decay: float, config: OptimizerConfig) -> None:
        self.weights, self.rate, self.decay, self.config = weights, rate, decay, config
        self.memory = {name: self._first_memory(master) for name, (_, master) in weights.items()}

    def _first_memory(self, master: torch.Tensor) -> Memory:
        fields = {field: torch.zeros_like(master) for field in self.FIELDS}
        if self.config.ema is not None:
            fields[AVERAGE] = master.clone()
        return {name: at_home(value) if self.config.offload else value for name, value in fields.items()}

    def step(self, stride: Stride) -> None:
        """Update what has a gradient, and clear it; what has none stays, as in torch's optimizers."""
        if live := [name for name, (parameter, _) in self.weights.items() if parameter.grad is not None]:
            self._update(live, stride)
        if self.config.ema is not None:
            self._average((1 - self.config.ema) * stride.finite)

    def _update(self, live: Sequence[str], stride: Stride) -> None:
        parameters, homes = zip(*(self.weights[name] for name in live), strict=True)
        gradients = []
        for parameter in parameters:
            gradients.append(parameter.grad.float())
            parameter.grad = None
        kept = [{f: value for f, value in self.memory[name].items() if f != AVERAGE} for name in live]
        masters = [_visiting(home, p) for home, p in zip(homes, parameters, strict=True)]
        memory = [
            {field: _visiting(value, p) for field, value in fields.items()}
            for fields, p in zip(kept, parameters, strict=True)
        ]
        self.update(masters, gradients, memory, stride)
        for parameter, home, master in zip(parameters, homes, masters, strict=True):
            _go_home(master, home)
            if parameter.dtype != master.dtype:
                parameter.copy_(master)
        for fields, visitors in zip(kept, memory, strict=True):
            for field, home in fields.items():
                _go_home(visitors[field], home)

    def _average(self, share: torch.Tensor) -> None:
        """Move every mean by a share of the way to its master, also of weights without a gradient."""
        for name, (parameter, master) in self.weights.items():
            home = self.memory[name][AVERAGE]
            mean = _visiting(home, parameter)
            mean.add_((_visiting(master, parameter) - mean) * share)
            _go_home(mean, home)

    def update(
        self,
        masters: list[torch.Tensor],
        gradients: list[torch.Tensor],
        memory: list[Memory],
        stride: Stride,
    ) -> None:
        """Change masters and memory in place."""
        raise NotImplementedError


class AdamWPart(Part):
    """By torch's fused kernel: on one core three times as fast as a loop over tensors, and it can skip."""

    FIELDS = ("exp_avg", "exp_avg_sq")

    def _first_memory(self, master: torch.Tensor) -> Memory:
        return super()._first_memory(master) | {"step": torch.zeros((), device=master.device)}

    def update(
        self,
        masters: list[torch.Tensor],
        gradients: list[torch.Tensor],
        memory: list[Memory],
        stride: Stride,
    ) -> None:
        """The kernel divides, looks at the flag and updates in one pass."""
        adamw(
            local_parts(masters),
            local_parts(gradients),
            local_parts([state["exp_avg"] for state in memory]),
            local_parts([state["exp_avg_sq"] for state in memory]),
            [],
            [state["step"] for state in memory],
            fused=True,
            grad_scale=stride.divisor,
            found_inf=stride.finite.logical_not().float(),
            amsgrad=False,
            beta1=self.config.betas[0],
            beta2=self.config.betas[1],
            lr=self.rate * stride.factor,
            weight_decay=self.decay,
            eps=self.config.eps,
            maximize=False,
        )


def _visiting(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """The tensor itself on the parameter's device, else a copy there."""
    return tensor.to(parameter.device, non_blocking=True)


def _go_home(visitor: torch.Tensor, home: torch.Tensor) -> None:
    if visitor is not home:
        home.copy_(visitor, non_blocking=True)
