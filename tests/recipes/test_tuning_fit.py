"""What a fine-tune changes so that it fits its device."""

from __future__ import annotations

import pytest
import torch

from tessera.families.catalogue import get_family
from tessera.recipes.tuning import DataLengths, Wish, choose
from tessera.recipes.tuning_fit import fit
from tessera.train.plan.machine import Machine
from tessera.train.recipe import Recipe

DATA = DataLengths(records=10_000, tokens=15_000_000, tiles=50_000, longest_tokens=5000, longest_tiles=13)


def card(size: float) -> Machine:
    return Machine(torch.device("meta"), int(size * 1e9))


def chosen(model: str) -> Recipe:
    return choose(get_family(model), model, DATA, "meta.json", None, Wish())[0]


def test_a_large_model_on_a_card_of_24_gb() -> None:
    recipe = chosen("InternVL3-8B")
    found = fit(recipe, DATA, card(24))
    stage, start = found.advice.recipe.stages[0], found.advice.recipe.start
    assert (stage.recompute, start.frozen) == ("blocks", "int8")
    assert stage.packing == recipe.stages[0].packing and stage.rules == recipe.stages[0].rules
    assert found.plan.fullest.total > 24e9 > found.advice.total > 8e9  # 7 GB of weights in 8 bits
    assert found.choice.value == f"fits with recompute and int8 base, {found.advice.total / 1e9:.1f} GB"
    assert found.choice.why == "InternVL3-8B, one device of 24 GB, by the plan"


def test_where_it_fits_nothing_changes() -> None:
    recipe = chosen("InternVL3-1B")
    found = fit(recipe, DATA, card(80))
    assert found.advice.recipe == recipe and found.choice.value.startswith("fits as it is")


def test_fields_of_the_user_and_long_records_stay() -> None:
    """Packs of 8,192 tokens hold the longest record, 5,000 tokens; of 4,096 they would not."""
    recipe = chosen("InternVL3-1B")
    given = ("--stages.0.recompute", "none", "--start.frozen", "stored", "--stages.0.optimizer.offload")
    found = fit(recipe, DATA, card(6), given)
    stage = found.advice.recipe.stages[0]
    assert (stage.recompute, stage.optimizer.offload) == ("none", False)
    assert stage.packing.max_tokens == 8192 and stage.accumulate == 2 * recipe.stages[0].accumulate
    assert not found.advice.fits and "packs of 8,192 tokens" in found.choice.value


@pytest.mark.parametrize("records", [1, 3])
def test_a_mean_record_has_a_token_to_learn(records: int) -> None:
    tiny = DataLengths(records, records, 0, 1, 0)
    assert tiny.mean_sample.tokens == 2
