"""What differs in a fine-tune on pairs of answers, or on answers of its own: loss, rate, size of steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from tessera.families.catalogue import identify
from tessera.families.family import Family
from tessera.recipes.internvl.mpo import MODELS
from tessera.train.objective import AnyObjective
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.policy import PolicyObjective
from tessera.train.objective.preference import METHODS, PreferenceObjective

Method = Literal["sft", "mpo", "dpo", "bco", "ipo", "hinge", "simpo", "grpo"]
assert set(get_args(Method)) == {"sft", *METHODS, "grpo"}
PAIRS = 256
"""Pairs a step of the published scripts."""
LORA_TIMES = 10
"""Factors learn at so many times the rate of weights, which is usual; nobody published one for pairs."""
TOY_RATES = {"full": 1e-5, "lora": 3e-4}
"""Of the scale model, chosen there (docs/align.md)."""


def objective_for(method: Method, beta: float | None, settings: Mapping[str, Any]) -> AnyObjective:
    """The objective of a method; `settings` are those of grpo. ValueError for a beta where nothing is
    compared."""
    if method == "sft":
        if beta is not None:
            raise ValueError(f"beta = {beta}: sft compares nothing; leave it out, or give a method for pairs")
        return ConversationObjective()
    if method == "grpo":
        return PolicyObjective(**settings, **({} if beta is None else {"beta": beta}))
    return PreferenceObjective(**METHODS[method] | ({} if beta is None else {"beta": beta}))


def told_rows(objective: AnyObjective) -> list[tuple[str, str, str]]:
    """What, value and why of an objective, for a table; nothing for answers that are learned."""
    if isinstance(objective, PolicyObjective):
        asked = f"{objective.group} answers to each of {objective.prompts} questions; beta {objective.beta:g}"
        return [("a step", asked, "as asked, or by default")]
    if not isinstance(objective, PreferenceObjective):
        return []
    weights = {name: getattr(objective, name) for name in ("preference", "quality", "generation")}
    told = ", ".join(f"{name} {weight:g}" for name, weight in weights.items() if weight)
    return [("losses", f"{told}; beta {objective.beta:g}", "as published for the method")]


def preference_rate(family: Family, kind: str, toy: bool) -> tuple[float, str]:
    """Peak rate for "full" or "lora", and whose it is: that of the model's own series, or of 2.5's; `toy`: a
    model of none of the published kinds."""
    if toy:
        return TOY_RATES[kind], "chosen on the scale model (docs/align.md)"
    entry = identify(family)
    starts = {row.start.format(size): made for made, (row, size) in MODELS.items()}
    names = [name for name in (family.name, entry.name if entry else "", entry.base if entry else "") if name]
    made = next((starts.get(name, name) for name in names if starts.get(name, name) in MODELS), None)
    row, whose = (MODELS[made][0], made) if made else (MODELS["InternVL2_5-8B-MPO"][0], "2.5-MPO")
    if kind == "full":
        return row.rate, f"published for {whose}"
    return LORA_TIMES * row.rate, f"{LORA_TIMES} times that of {whose}, for factors; not published"
