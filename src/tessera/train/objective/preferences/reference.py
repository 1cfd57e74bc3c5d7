"""The model that answers are compared with: a table of what it said, a copy, or the base under factors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from tessera.models.vlm import VLM
from tessera.nn.lora import FACTORS, lora_linears, without_factors
from tessera.packing.pack import Pack
from tessera.train.objective.answers import AnswerLogprobs, answer_logprobs
from tessera.train.objective.contract import Beginning, Objective
from tessera.train.objective.preferences.table import ReferenceTable, not_cacheable

ReferenceKind = Literal["auto", "cached", "copy", "base", "none"]
"""cached: log-probabilities of all answers, computed once with the weights that the stage starts from, and
kept; copy: a second copy of these weights; base: the model without its LoRA factors; none: nothing is
compared; auto: cached where samples are the same in every visit, else base where nothing but factors is
trained, else copy."""
Reference = Callable[[VLM, Pack, torch.device], torch.Tensor]
"""float64 [answers]: the log-probability of each answer of a pack."""
ModelReference = Callable[[VLM, Pack, torch.device], AnswerLogprobs]
"""The same token by token, which no table has."""


def open_reference(kind: ReferenceKind, objective: Objective, beginning: Beginning) -> Reference:
    """The reference of a stage, from its model as it begins. ValueError naming why a kind can't be."""
    if kind == "none":
        return no_reference
    model, moves = beginning.learner.model, not_cacheable(beginning)
    if kind == "auto":
        kind = "cached" if moves is None else "copy" if _more_than_factors(model) else "base"
    if kind != "cached":
        return _Summed(open_model_reference(kind, beginning))
    if moves is not None:
        raise ValueError(f'reference = "cached": {moves}; take copy, base with LoRA alone, or auto')
    with still(model):
        return ReferenceTable(objective, beginning)


def open_model_reference(kind: Literal["copy", "base"], beginning: Beginning) -> ModelReference:
    """A reference that is computed beside each batch. ValueError naming why a kind can't be."""
    model = beginning.learner.model
    if kind == "base":
        if others := _more_than_factors(model):
            raise ValueError(f'reference = "base": {others}; take copy, or cached for pairs')
        return _base
    if beginning.mesh.shared:
        raise ValueError(
            'reference = "copy": weights or tokens lie with several processes, and each would hold a second '
            "copy of all; take cached, or base with LoRA alone"
        )
    return _Copy(model)


def no_reference(model: VLM, pack: Pack, device: torch.device) -> torch.Tensor:
    """Zeros: rewards are log-probabilities themselves."""
    answers = sum(map(len, pack.branches))
    return torch.zeros(answers, dtype=torch.float64, device=device)


@dataclass(frozen=True)
class _Summed:
    """Whole answers of a reference that tells tokens."""

    reference: ModelReference

    def __call__(self, model: VLM, pack: Pack, device: torch.device) -> torch.Tensor:
        return self.reference(model, pack, device).sums


def _base(model: VLM, pack: Pack, device: torch.device) -> AnswerLogprobs:
    with still(model), without_factors(model):
        return answer_logprobs(model, pack, device)


class _Copy:
    """A second copy. It is no module, so that no optimizer, state or checkpoint meets its weights."""

    def __init__(self, model: VLM) -> None:
        self.model = deepcopy(model).eval().requires_grad_(False)

    def __call__(self, model: VLM, pack: Pack, device: torch.device) -> AnswerLogprobs:
        with torch.no_grad():
            return answer_logprobs(self.model, pack, device)


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """Inside, the model computes without gradients, drop path and dropout."""
    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was)


def _more_than_factors(model: nn.Module) -> str | None:
    """Why the model without its factors is not what the stage starts from; None if it is and stays so."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name.rpartition(".")[2] not in FACTORS:
            return f"{name} is trained itself"
    if any(bool(layer.lora_B.any()) for _, layer in lora_linears(model)):
        return "the factors that training goes on with are part of what it starts from"
    return None
