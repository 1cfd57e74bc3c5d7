"""Plans of recipes: from the catalogue, from data, and what is to be changed where memory is short."""

from dataclasses import replace

import pytest
import torch

from tessera.recipes.shelf import load_recipe
from tessera.train.plan.fit import advise
from tessera.train.plan.machine import Machine, available, find_machine, read_size, with_speed
from tessera.train.plan.prospect import look_ahead
from tessera.train.plan.run_plan import plan_run
from tessera.train.recipe import Start
from tessera.train.update.rules import Rule
from tests.train import tiny

CARD = Machine(torch.device("meta"), read_size("24GB"))


def test_a_released_size_without_a_weight_of_it() -> None:
    """8B with LoRA on one 24 GB card: a base in 8 bits is enough."""
    recipe = load_recipe("internvl_3/8b/second_lora")
    plan = plan_run(recipe, CARD)
    (stage,) = plan.stages
    assert stage.bytes["frozen weights"] == pytest.approx(2 * 7.944e9, rel=0.01)
    assert stage.groups[0].trained == 28 * 16 * (2 * (3584 + 3584) + 2 * (3584 + 512) + 3 * (3584 + 18944))
    assert stage.steps is None and plan.seconds is None and not plan.fits
    advice = advise(recipe, plan)
    assert advice.fits and advice.options == ("--start.frozen int8",)
    assert advice.line.startswith("InternVL3-8B, one device of 24 GB: fits with int8 base")
    assert advice.total < CARD.memory


def test_lengths_come_from_the_data_where_it_is_at_hand() -> None:
    """Drawn pictures are measured as the loader will measure them."""
    recipe = tiny.recipe()
    plan = plan_run(recipe, find_machine("cpu", None, None, 1))
    warm_up, full = plan.stages
    assert "packs of the data" in warm_up.origin and 0 < warm_up.tokens <= 600
    assert full.packs == 2 and full.tokens > warm_up.tokens
    assert warm_up.groups[0].trained and not warm_up.groups[1].trained
    assert full.bytes["optimizer"] > warm_up.bytes["optimizer"]
    assert plan.fits


def test_a_rule_that_decides_nothing_is_told_before_the_start() -> None:
    dead = (Rule(pattern="nowhere", learning_rate=1e-3), tiny.ALL)
    stages = (tiny.recipe().stages[0].model_copy(update={"rules": dead}),)
    with pytest.raises(ValueError, match="nowhere"):
        plan_run(tiny.recipe(stages=stages), CARD, read_data=False)


def test_what_nothing_helps_is_said_to_be_too_large() -> None:
    recipe = tiny.recipe()
    little = replace(CARD, memory=10**8)
    advice = advise(recipe, plan_run(recipe, little, read_data=False))
    assert not advice.fits and "does not fit" in advice.line


@pytest.mark.parametrize("text", ["24", "GB", "-3GB", "0GB", "12 parsecs", "1e9GB"])
def test_a_size_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="24GB or 80GiB"):
        read_size(text)


def test_sizes_and_speeds() -> None:
    assert read_size("24GB") == 24 * 10**9 and read_size("1.5 gib") == 3 * 2**29
    assert with_speed(CARD, 100.0, 0.4, torch.bfloat16).speed == pytest.approx(40e12)
    assert with_speed(CARD, None, 0.4, torch.bfloat16).speed is None  # never a silent guess
    assert 0 < find_machine("cpu", None, None, 2).memory <= available() // 2 * 1.1


def test_models_by_name_and_by_folder() -> None:
    named = look_ahead(Start(checkpoint="OpenGVLab/InternVL3-2B"))
    assert named.tokenizer is None and named.family.name == "InternVL3-2B"
    shipped = look_ahead(Start(checkpoint="shipped"))
    assert shipped.stored == torch.bfloat16 and shipped.learner is not None
    with pytest.raises(ValueError, match="is not in the catalogue"):
        look_ahead(Start(checkpoint="nobody/has-this"))
