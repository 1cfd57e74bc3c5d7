"""Which parameters a stage trains: ordered patterns, first match wins, a dead pattern is an error."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field, field_validator
from torch import nn

from tessera.runtime.config import Config
from tessera.train.update.decay import Exempt, kind_of, layers_above, stacks


class Rule(Config):
    """Parameters whose name a pattern finds, and what happens to them."""

    pattern: str
    """Regular expression searched in the parameter name (`re.search`)."""
    learning_rate: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Peak rate; None freezes."""
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Decoupled decay: each step takes rate times this of a weight."""
    no_decay: tuple[Exempt, ...] = ("norms", "biases", "layer_scale")
    """Kinds of weights that don't decay; by default all that are no matrices."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Rate factor per block of an encoder or decoder, counted from the top; 1 gives all the same rate."""

    @field_validator("learning_rate")
    @classmethod
    def _not_zero(cls, rate: float | None) -> float | None:
        if rate == 0:
            raise ValueError("a rate of 0 trains nothing; leave it out to freeze")
        return rate


@dataclass(frozen=True)
class Assignment:
    """One parameter with the settings that a rule gave it."""

    name: str
    parameter: nn.Parameter
    learning_rate: float
    weight_decay: float


def assign(model: nn.Module, rules: Sequence[Rule]) -> list[Assignment]:
    """Freeze and select: sets `requires_grad` everywhere and returns the trained parameters.

    Raises ValueError for a pattern that decides nothing, and for parameters that no pattern mentions.
    """
    used: set[int] = set()
    trained, orphans = [], []
    depths = stacks(model)
    for name, parameter in model.named_parameters():
        index = _decides(rules, name)
        if index is None:
            orphans.append(name)
            continue
        used.add(index)
        rule = rules[index]
        parameter.requires_grad_(rule.learning_rate is not None)
        if rule.learning_rate is not None:
            above = layers_above(name, depths)
            if above is None and rule.layer_decay != 1:
                raise ValueError(
                    f"rules[{index}].layer_decay = {rule.layer_decay}: {name} is in no stack of blocks; "
                    "give it a rule of its own in front, without layer_decay"
                )
            rate = rule.learning_rate * rule.layer_decay ** (above or 0)
            decay = 0.0 if kind_of(name, parameter) in rule.no_decay else rule.weight_decay
            trained.append(Assignment(name, parameter, rate, decay))
    _require_complete(rules, used, orphans, trained)
    return trained


def _require_complete(
    rules: Sequence[Rule], used: set[int], orphans: list[str], trained: list[Assignment]
) -> None:
    for index, rule in enumerate(rules):
        if index not in used:
            raise ValueError(
                f"rules[{index}].pattern = {rule.pattern!r} decides no parameter; correct it, remove it, or "
                "move it before the pattern that takes its matches"
            )
    if orphans:
        raise ValueError(
            f"no rule matches {orphans[0]!r} ({len(orphans)} parameters); end the list with "
            "Rule(pattern='.') to freeze the rest"
        )
    if not trained:
        raise ValueError("rules freeze everything; give at least one pattern a learning_rate")


def table(model: nn.Module, rules: Sequence[Rule]) -> list[tuple[str, int, str]]:
    """(pattern, parameters decided, "frozen" or the rate) per rule, for printing."""
    counts = [0] * len(rules)
    for name, parameter in model.named_parameters():
        if (index := _decides(rules, name)) is not None:
            counts[index] += parameter.numel()
    rates = ["frozen" if r.learning_rate is None else f"{r.learning_rate:g}" for r in rules]
    return [(rule.pattern, count, rate) for rule, count, rate in zip(rules, counts, rates, strict=True)]


def trains(rules: Sequence[Rule], name: str) -> bool:
    """Whether a parameter of this name gets a rate."""
    index = _decides(rules, name)
    return index is not None and rules[index].learning_rate is not None


def _decides(rules: Sequence[Rule], name: str) -> int | None:
    return next((i for i, rule in enumerate(rules) if re.search(rule.pattern, name)), None)
