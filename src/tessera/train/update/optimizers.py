"""One optimizer object per stage: AdamW, and Muon for the hidden matrices where that is asked for.

The update is torch's. Around it stand rates and decays by groups, float32 masters, and clipping and a guard
against numbers that are not finite, without a reading of the device and in the memory of one part at a time.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from tessera.train.parallel.norm import total_norm
from tessera.train.parallel.shard import local_parts
from tessera.train.update.config import OptimizerConfig
from tessera.train.update.masters import Masters
from tessera.train.update.muon import MuonPart
from tessera.train.update.parts import AVERAGE, AdamWPart, Part, Stride
from tessera.train.update.rules import Assignment

__all__ = ["Optimizer", "OptimizerConfig"]

AT_ONCE = 2**26
"""Numbers of a part in a process at most, unless one weight has more: float32 copies of gradients exist for
one part."""


class Optimizer:
    """Updates the weights that a stage trains; every one keeps its peak rate.

    Gradients lie at `parameters`, in the weights' dtype or, where several batches add up, in float32.
    """

    def __init__(
        self, assignments: Sequence[Assignment], config: OptimizerConfig, masters: Masters | None = None
    ) -> None:
        self.config = config
        self.parameters = [a.parameter for a in assignments]
        masters = masters or Masters()
        masters.rest({a.name for a in assignments})
        self._parts = list(_parts(assignments, config, masters))

    @torch.no_grad()
    def step(self, factor: float, loss: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Clip, step with all rates times `factor`, clear gradients.

        Returns the norm before clipping, float32 scalar, and whether it and the loss are finite, a bool: if
        not, weights and memory stay as they were. Nothing waits for the device.
        """
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = total_norm(gradients).to(loss.device)
        finite = norm.isfinite() & loss.isfinite()
        clip = self.config.clip
        divisor = torch.ones_like(norm) if clip is None else (norm / clip).clamp(min=1.0)
        for part in self._parts:
            part.step(Stride(factor, divisor, finite))
        return norm, finite

    def averages(self) -> dict[str, torch.Tensor]:
        """Running means of the trained weights, float32; none without `ema`."""
        memory = (pair for part in self._parts for pair in part.memory.items())
        return {name: state[AVERAGE] for name, state in memory if AVERAGE in state}

    def settle(self) -> None:
        """Wait for what is still on its way to the host's memory, before that is read."""
        if self.config.offload and torch.cuda.is_available():
            torch.cuda.synchronize()

    def state_tensors(self) -> dict[str, torch.Tensor]:
        """Everything the optimizers remember, as `<parameter>/<field>` tensors; no copies."""
        return {
            f"{name}/{field}": value
            for part in self._parts
            for name, state in part.memory.items()
            for field, value in state.items()
        }

    def load_state_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Restore what `state_tensors` gave. ValueError when it belongs to other parameters."""
        own = self.state_tensors()
        if foreign := sorted(tensors.keys() - own.keys()):
            raise ValueError(
                f"optimizer state {foreign[0]!r} has no such trained parameter; resume with the same rules"
            )
        for key, value in tensors.items():
            own[key].copy_(value)


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Matrices inside blocks and connector; embeddings, heads and convolutions are not."""
    outside = ("embed_tokens", "lm_head", "embeddings", "projection_head")
    return parameter.dim() == 2 and not any(part in name for part in outside)


def largest_parts(assignments: Sequence[Assignment], config: OptimizerConfig) -> dict[bool, int]:
    """Numbers that are updated at once, at most: by Muon (True) and by AdamW."""
    largest: dict[bool, int] = {}
    for (muon, _, _), members in _cut(assignments, config):
        largest[muon] = max(largest.get(muon, 0), sum(a.parameter.numel() for a in members))
    return largest


def _parts(assignments: Sequence[Assignment], config: OptimizerConfig, masters: Masters) -> Iterator[Part]:
    for (muon, rate, decay), members in _cut(assignments, config):
        weights = {
            a.name: (a.parameter, masters.master(a.name, a.parameter, config.offload)) for a in members
        }
        if muon:
            yield MuonPart(weights, rate * config.muon_rate, decay, config)
        else:
            yield AdamWPart(weights, rate, decay, config)


def _cut(
    assignments: Sequence[Assignment], config: OptimizerConfig
) -> Iterator[tuple[tuple[bool, float, float], list[Assignment]]]:
    """Groups of one kind, rate and decay, in order of first appearance, cut to AT_ONCE."""
    groups: dict[tuple[bool, float, float], list[list[Assignment]]] = {}
    for a in assignments:
        muon = config.kind == "muon" and is_hidden_matrix(a.name, a.parameter)
        cuts = groups.setdefault((muon, a.learning_rate, a.weight_decay), [[]])
        here = local_parts(b.parameter for b in (*cuts[-1], a))
        if cuts[-1] and sum(part.numel() for part in here) > AT_ONCE:
            cuts.append([])
        cuts[-1].append(a)
    yield from ((kind, members) for kind, cuts in groups.items() for members in cuts)
