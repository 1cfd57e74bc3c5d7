"""Parts of an optimizer: some weights with one rate and decay, their memory, and torch's update of them.

A part asks nothing of the device: whether the step counts is a tensor (`finite`), and so is what divides the
gradients. All is done tensor by tensor, so sharded tensors go through as they are.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.optim.adamw import adamw

from tessera.train.parallel.shard import local_parts

Weights = Mapping[str, tuple[nn.Parameter, torch.Tensor]]
"""Name -> the model's weight, and the float32 master that is updated; a float32 weight is its own."""


class Part:
    """Weights that are updated together, with the optimizer's memory of each."""

    FIELDS: tuple[str, ...]
    """Names of the tensors that are remembered, each like the master."""

    def __init__(self, weights: Weights, rate: float, decay: float) -> None:
        self.rate, self.decay = rate, decay
        self.weights = weights
        self.memory: dict[str, dict[str, torch.Tensor]] = {
            name: {field: torch.zeros_like(master) for field in self.FIELDS}
            for name, (_, master) in weights.items()
        }

    def step(self, factor: float, divisor: torch.Tensor, finite: torch.Tensor) -> None:
        """Update with the peak rate times `factor` and gradients / `divisor`, if `finite`; clear gradients.

        Weights without a gradient stay as they are, as in torch's optimizers.
        """
        live = [name for name, (parameter, _) in self.weights.items() if parameter.grad is not None]
        if not live:
            return
        gradients = []
        for name in live:
            parameter, _ = self.weights[name]
            assert parameter.grad is not None
            gradients.append(parameter.grad.float())
            parameter.grad = None
        masters = [self.weights[name][1] for name in live]
        memory = [self.memory[name] for name in live]
        self.update(masters, gradients, memory, self.rate * factor, divisor, finite)
        for name, master in zip(live, masters, strict=True):
            parameter, _ = self.weights[name]
            if parameter.dtype != master.dtype:
                parameter.copy_(master)

    def update(
        self,
        masters: list[torch.Tensor],
        gradients: list[torch.Tensor],
        memory: list[dict[str, torch.Tensor]],
        rate: float,
        divisor: torch.Tensor,
        finite: torch.Tensor,
    ) -> None:
        """Change masters and memory in place."""
        raise NotImplementedError


class AdamWPart(Part):
    """By torch's fused kernel: on one core three times as fast as a loop over tensors, and it can skip."""

    FIELDS = ("exp_avg", "exp_avg_sq")

    def __init__(
        self, weights: Weights, rate: float, decay: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(weights, rate, decay)
        self._betas, self._eps = betas, eps
        for name, (_, master) in weights.items():
            self.memory[name]["step"] = torch.zeros((), device=master.device)

    def update(
        self,
        masters: list[torch.Tensor],
        gradients: list[torch.Tensor],
        memory: list[dict[str, torch.Tensor]],
        rate: float,
        divisor: torch.Tensor,
        finite: torch.Tensor,
    ) -> None:
        """The fused kernel divides, looks at the flag and updates in one pass."""
        adamw(
            local_parts(masters),
            local_parts(gradients),
            local_parts([state["exp_avg"] for state in memory]),
            local_parts([state["exp_avg_sq"] for state in memory]),
            [],
            [state["step"] for state in memory],
            fused=True,
            grad_scale=divisor,
            found_inf=finite.logical_not().float(),
            amsgrad=False,
            beta1=self._betas[0],
            beta2=self._betas[1],
            lr=rate,
            weight_decay=self.decay,
            eps=self._eps,
            maximize=False,
        )


class MuonPart(Part):
    """By torch.optim.Muon, which can't skip: what it changed is taken back."""

    FIELDS = ("momentum_buffer",)

    def update(
        self,
        masters: list[torch.Tensor],
        gradients: list[torch.Tensor],
        memory: list[dict[str, torch.Tensor]],
        rate: float,
        divisor: torch.Tensor,
        finite: torch.Tensor,
    ) -> None:
        """Keep copies of this part, step, and choose on the device which of the two stays."""
        muon = torch.optim.Muon(
            masters, lr=rate, weight_decay=self.decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
        )
        for master, gradient, state in zip(masters, gradients, memory, strict=True):
            master.grad = gradient / divisor
            muon.state[master] = state
        changed = [*masters, *(state["momentum_buffer"] for state in memory)]
        before = [tensor.clone() for tensor in changed]
        muon.step()
        for tensor, kept in zip(changed, before, strict=True):
            tensor.copy_(torch.where(finite, tensor, kept))
        for master in masters:
            master.grad = None
