"""Which parameters a stage trains: ordered patterns, first match wins, a dead pattern is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import Field, field_validator, model_validator
from torch import nn

from tessera.nn.lora import FACTORS, LoRAConfig, own_name, weight_of
from tessera.nn.quantised import QuantisedLinear
from tessera.runtime.config import Config
from tessera.runtime.shown import shown
from tessera.train.update.decay import Exempt, kind_of, layers_above, stacks

DECODER_LINEARS = r"^decoder\.layers\.\d+\.(self_attn|mlp)\.\w+_proj\."
"""Where published scripts put LoRA: every linear of the decoder's blocks (docs/facts/recipes.md), but for
routed experts, which take no factors."""


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
    lora: LoRAConfig | None = None
    """Freeze what the pattern finds and train low-rank factors beside its linears, at the rule's rate."""

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"no regular expression ({error}); write \\ before a sign as it is") from None
        return pattern

    @field_validator("learning_rate")
    @classmethod
    def _not_zero(cls, rate: float | None) -> float | None:
        if rate == 0:
            raise ValueError("a rate of 0 trains nothing; leave it out to freeze")
        return rate

    @model_validator(mode="after")
    def _factors_have_a_rate(self) -> Rule:
        if self.lora is not None and self.learning_rate is None:
            raise ValueError(
                f"rule {shown(self.pattern)}: lora needs a learning_rate, which trains its factors"
            )
        return self


@dataclass(frozen=True)
class Assignment:
    """One parameter with the settings that a rule gave it."""

    name: str
    parameter: nn.Parameter
    learning_rate: float
    weight_decay: float


def assign(model: nn.Module, rules: Sequence[Rule]) -> list[Assignment]:
    """Freeze and select: sets `requires_grad` everywhere and returns the trained parameters.

    Linears of rules with `lora` were wrapped before (`wrapping.wrap`). Raises ValueError for a pattern that
    decides nothing, and for parameters that no pattern mentions.
    """
    used: set[int] = set()
    trained, orphans = [], []
    depths = stacks(model)
    for name, parameter, _ in _weights(model):
        index = decides(rules, name)
        if index is None:
            orphans.append(name)
            continue
        used.add(index)
        if parameter is None:
            continue
        rule = rules[index]
        parameter.requires_grad_(trains(rules, name))
        if rule.learning_rate is not None and parameter.requires_grad:
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
    """(pattern, parameters, "frozen" or the rate) for printing: a row per rule, two for one with `lora`."""
    counts, factors = [0] * len(rules), [0] * len(rules)
    for name, _, count in _weights(model):
        if (index := decides(rules, name)) is not None:
            (factors if _is_factor(name) else counts)[index] += count
    rows = []
    for rule, count, added in zip(rules, counts, factors, strict=True):
        rate = "frozen" if rule.learning_rate is None else f"{rule.learning_rate:g}"
        if rule.lora is None:
            rows.append((rule.pattern, count, rate))
        else:
            said = f"LoRA of rank {rule.lora.rank}, scale {rule.lora.scale:g}"
            rows += [(rule.pattern, count, "frozen"), (rule.pattern, added, f"{rate} ({said})")]
    return rows


def trains(rules: Sequence[Rule], name: str) -> bool:
    """Whether a parameter of this name gets a rate; of what a rule with `lora` finds the factors alone do."""
    index = decides(rules, name)
    if index is None or rules[index].learning_rate is None:
        return False
    return rules[index].lora is None or _is_factor(name)


def changes(rules: Sequence[Rule], name: str) -> bool:
    """Whether a stage trains a weight of this name, or factors that may be merged into it later."""
    index = decides(rules, name)
    return index is not None and rules[index].learning_rate is not None


def decides(rules: Sequence[Rule], name: str) -> int | None:
    """Number of the rule for a parameter: the first that finds its own name; factors follow their weight."""
    name = weight_of(name)
    return next((i for i, rule in enumerate(rules) if re.search(rule.pattern, name)), None)


def _is_factor(name: str) -> bool:
    return name.rpartition(".")[2] in FACTORS


def _weights(model: nn.Module) -> Iterator[tuple[str, nn.Parameter | None, int]]:
    """Own name, parameter and size of every weight; quantised linears have no parameter."""
    for name, parameter in model.named_parameters():
        yield own_name(name), parameter, parameter.numel()
    for path, module in model.named_modules():
        if isinstance(module, QuantisedLinear):
            yield own_name(f"{path}.weight"), None, module.in_features * module.out_features
            if module.bias is not None:
                yield own_name(f"{path}.bias"), None, module.out_features
