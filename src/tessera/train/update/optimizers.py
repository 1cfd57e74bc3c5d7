"""One optimizer object per stage, made of AdamW and, when asked for, Muon for the hidden matrices."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import nn

from tessera.runtime.config import Config
from tessera.train.parallel.norm import clip, total_norm
from tessera.train.update.rules import Assignment


class OptimizerConfig(Config):
    """Settings of AdamW; `muon` hands the decoder's, ViT's and connector's matrices to torch.optim.Muon."""

    kind: Literal["adamw", "muon"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip: float = 1.0
    """Largest norm of the whole gradient."""
    muon_rate: float = 1.0
    """Muon's rate as a multiple of the rule's rate; its steps are scaled to AdamW's usual size."""


class Optimizer:
    """Several torch optimizers that step together; every parameter keeps its peak rate."""

    def __init__(self, assignments: Sequence[Assignment], config: OptimizerConfig) -> None:
        self.config = config
        self.parameters = [a.parameter for a in assignments]
        self._names = {id(a.parameter): a.name for a in assignments}
        matrices = [a for a in assignments if config.kind == "muon" and is_hidden_matrix(a.name, a.parameter)]
        chosen = {a.name for a in matrices}
        others = [a for a in assignments if a.name not in chosen]
        self._parts: list[torch.optim.Optimizer] = []
        if others:
            groups = _groups(others, 1.0)
            self._parts.append(torch.optim.AdamW(groups, lr=1e-3, betas=config.betas, eps=config.eps))
        if matrices:
            groups = _groups(matrices, config.muon_rate)
            self._parts.append(
                torch.optim.Muon(groups, lr=1e-3, momentum=0.95, adjust_lr_fn="match_rms_adamw")
            )

    def step(self, factor: float) -> float:
        """Clip, step with all rates times `factor`, clear gradients; returns the norm before clipping."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        whole = total_norm(gradients)
        clip(gradients, whole, self.config.clip)
        norm = float(whole)
        if not math.isfinite(norm):
            raise FloatingPointError(
                f"gradient norm is {norm}: the run diverged; lower learning_rate or use precision float32"
            )
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = group["peak"] * factor
            part.step()
            part.zero_grad(set_to_none=True)
        return norm

    def state_tensors(self) -> dict[str, torch.Tensor]:
        """Everything the optimizers remember, as `<parameter>/<field>` tensors."""
        tensors = {}
        for part in self._parts:
            for parameter, state in part.state.items():
                for field, value in state.items():
                    name = f"{self._names[id(parameter)]}/{field}"
                    tensors[name] = torch.as_tensor(value).detach().clone().contiguous()
        return tensors

    def load_state_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Restore what `state_tensors` gave. ValueError when it belongs to other parameters."""
        groups = ((part, group) for part in self._parts for group in part.param_groups)
        states = {self._names[id(p)]: part.state[p] for part, group in groups for p in group["params"]}
        for key, value in tensors.items():
            name, _, field = key.rpartition("/")
            if name not in states:
                raise ValueError(
                    f"optimizer state {key!r} has no such trained parameter; resume with the same rules"
                )
            states[name][field] = value.clone()


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Matrices inside blocks and connector; embeddings, heads and convolutions are not."""
    outside = ("embed_tokens", "lm_head", "embeddings", "projection_head")
    return parameter.dim() == 2 and not any(part in name for part in outside)


def _groups(assignments: Sequence[Assignment], scale: float) -> list[dict[str, object]]:
    """One group per (rate, decay), in order of first appearance."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for a in assignments:
        groups.setdefault((a.learning_rate * scale, a.weight_decay), []).append(a.parameter)
    return [
        {"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
