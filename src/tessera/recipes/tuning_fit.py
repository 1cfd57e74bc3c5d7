"""A fine-tune that fits its device: what the plan says of its memory, and the changes that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tessera.chat.encoder import Lengths
from tessera.recipes.tuning import DataLengths, TunedChoice
from tessera.train.plan.fit import Advice, Kind, Terms, advise, offload, quantise, recompute, shorten
from tessera.train.plan.machine import Machine
from tessera.train.plan.run_plan import RunPlan, plan_run
from tessera.train.recipe import Recipe

FIELDS: tuple[tuple[Kind, str], ...] = (
    (recompute, ".recompute"),
    (offload, ".optimizer.offload"),
    (quantise, "start.frozen"),
    (shorten, ".packing.max-"),
)
"""Changes of a fine-tune in the order in which they are tried, and the fields that they set. What learns, and
on how many devices, stays as wished."""


@dataclass(frozen=True)
class Fit:
    """A plan of the recipe as it was, what to change, and both in words."""

    plan: RunPlan
    advice: Advice
    choice: TunedChoice


def fit(recipe: Recipe, data: DataLengths, machine: Machine, set_by_user: Sequence[str] = ()) -> Fit:
    """Weighed on full packs of records like the mean of the data. No weight is read.

    A field named in `set_by_user`, words such as --stages.0.recompute, stays as it is; no pack gets shorter
    than the longest record.
    """
    given = [word.replace("_", "-") for word in set_by_user if word.startswith("--")]
    kinds = tuple(kind for kind, field in FIELDS if not any(field in word for word in given))
    longest = Lengths(data.longest_tokens, data.longest_tiles)
    plan = plan_run(recipe, machine, read_data=False, sample=data.mean_sample)
    advice = advise(recipe, plan, terms=Terms(kinds, data.mean_sample, longest))
    what, _, found = advice.line.rpartition(": ")
    return Fit(plan, advice, TunedChoice("memory", found, f"{what}, by the plan"))
