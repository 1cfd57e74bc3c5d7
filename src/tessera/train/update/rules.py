"""Which parameters a stage trains: ordered patterns, first match wins, a dead pattern is an error."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from tessera.models.vision.encoder import TileEncoder
from tessera.runtime.config import Config


class Rule(Config):
    """Parameters whose name a pattern finds, and what happens to them."""

    pattern: str
    """Regular expression searched in the parameter name (`re.search`)."""
    learning_rate: float | None = None
    """Peak rate; None freezes."""
    weight_decay: float = 0.0
    """Applies to matrices; vectors (norms, biases, layer scale) never decay."""
    layer_decay: float = 1.0
    """Rate factor per layer of a vision encoder, counted from the top; 1 gives all layers the same rate."""


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
    modules = model.named_modules()
    encoders = {f"{name}.": len(m.layers) for name, m in modules if isinstance(m, TileEncoder)}
    for name, parameter in model.named_parameters():
        index = _decides(rules, name)
        if index is None:
            orphans.append(name)
            continue
        used.add(index)
        rule = rules[index]
        parameter.requires_grad_(rule.learning_rate is not None)
        if rule.learning_rate is not None:
            rate = rule.learning_rate * rule.layer_decay ** _layers_above(name, encoders)
            decay = rule.weight_decay if parameter.dim() > 1 else 0.0
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


def _layers_above(name: str, encoders: Mapping[str, int]) -> int:
    """Blocks of the parameter's encoder above it, embeddings below the first; 0 outside encoders."""
    for prefix, depth in encoders.items():
        if name.startswith(prefix):
            block = re.match(r"layers\.(\d+)\.", name.removeprefix(prefix))
            return depth - 1 - int(block[1]) if block else depth
    return 0


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
