"""Each kind of published stage, in miniature: what it should train changes, and nothing else."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tessera.nn.lora import FACTORS
from tessera.recipes.internvl.table import published_runs
from tessera.recipes.rehearsal import rehearse
from tessera.recipes.shelf import load_recipe
from tessera.train.loop import Trainer
from tessera.train.setup import set_up

KINDS = {
    "stages 1, 1.5 and 2": "internvl_2_5/8b/all_stages",
    "second fine-tune": "internvl_2_5/2b/second_full",
    "second fine-tune with LoRA": "internvl_2_5/2b/second_lora",
    "native": "internvl_3/1b/native",
    "V2PE": "internvl_2/2b/v2pe",
    "domain": "internvl_2/1b/bdd",
    "distillation": "internvit/300m/distil",
    "1.1 tuning": "internvl_1_1/19b/finetune",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_changes_what_it_trains(kind: str, tmp_path: Path) -> None:
    recipe, published = rehearse(load_recipe(KINDS[kind])), published_runs()[KINDS[kind]]
    seen: list[dict[str, torch.Tensor]] = []
    trainer = Trainer(set_up(recipe), tmp_path, lambda index, stage: seen.append(_weights(trainer)))
    seen.append(_weights(trainer))
    assert all(math.isfinite(report.loss) for report in trainer.run())
    assert len(seen) == len(published) + 1
    for stage, (before, after) in zip(published, pairwise(seen), strict=True):
        changed = {name for name in after if not torch.equal(before[name], after[name])}
        factors = {name for name in changed if name.rpartition(".")[2] in FACTORS}
        parts = {name.partition(".")[0] for name in changed - factors} - {"projection_heads"}
        assert parts == set(stage.trained), stage.name
        linears = sum(hasattr(module, "lora_A") for module in trainer.model.modules())
        assert len(factors) == 2 * linears == (28 if stage.lora_rank else 0)


def test_a_vit_goes_from_one_decoder_to_the_next(tmp_path: Path) -> None:
    """The progressive chain: what stage 1.5 made of the ViT is what the next size begins with, and keeps."""
    made = Trainer(set_up(rehearse(load_recipe("internvl_2_5/8b/stage_1_5"))), tmp_path / "first")
    assert list(made.run())
    taken = rehearse(load_recipe("internvl_2_5/1b/stage_1"))
    start = taken.start.model_copy(update={"vision": str(made.stage_folder(0))})
    following = Trainer(set_up(taken.model_copy(update={"start": start, "seed": 1})), tmp_path / "second")
    before, after = _weights(made), _weights(following)
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith("vision.")} <= kept
    assert not {name for name in kept if name.endswith("proj.weight") and name.startswith("decoder.")}
    assert "connector.linear_1.weight" not in kept


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}


def test_everything_but_size_and_data_stays() -> None:
    recipe = load_recipe("internvl_3/8b/native")
    (large,), (small,) = recipe.stages, rehearse(recipe).stages
    for field in ("name", "rules", "objective", "optimizer", "drop_path", "recompute"):
        assert getattr(small, field) == getattr(large, field), field
    assert (small.packing.averaging, small.packing.v2pe) == ("square", "random")
    kinds = [
        (source.mode, source.token_share) for source in small.sources
    ]  # text 1 : multimodal 3, by tokens
    assert kinds == [("blind", 0.25), ("picture", 0.75)]
