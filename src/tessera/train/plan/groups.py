"""What the rules of a stage do to how many weights, for a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from tessera.nn.lora import own_name
from tessera.nn.quantised import QuantisedLinear
from tessera.train.update.rules import Rule, assign, decides


@dataclass(frozen=True)
class RuleGroup:
    """A rule and what it decides; counts are numbers, of which LoRA trains its factors alone."""

    pattern: str
    frozen: int
    trained: int
    rate: float | None
    """Highest peak rate."""
    decay: float
    """Of weights that decay."""
    rank: int = 0
    """Of LoRA; 0 is none."""


def rule_groups(model: nn.Module, rules: Sequence[Rule]) -> tuple[RuleGroup, ...]:
    """A group for each rule, in their order; `model` as `shape.stage_model` gives it.

    ValueError as `rules.assign` raises it, for a rule that decides nothing among them.
    """
    learned = {id(each.parameter) for each in assign(model, rules)}
    counts = [[0, 0] for _ in rules]
    for name, parameter in model.named_parameters():
        index = decides(rules, own_name(name))
        assert index is not None, "assign refuses what no rule decides"
        counts[index][id(parameter) in learned] += parameter.numel()
    for path, module in model.named_modules():
        if isinstance(module, QuantisedLinear):
            index = decides(rules, own_name(f"{path}.weight"))
            assert index is not None
            bias = 0 if module.bias is None else module.out_features
            counts[index][0] += module.in_features * module.out_features + bias
    return tuple(
        RuleGroup(
            rule.pattern,
            *(frozen, trained),
            rate=rule.learning_rate,
            decay=rule.weight_decay,
            rank=0 if rule.lora is None else rule.lora.rank,
        )
        for rule, (frozen, trained) in zip(rules, counts, strict=True)
    )
