"""The published values of 1.0's pair, each as docs/facts/pair.md has it."""

from __future__ import annotations

import pytest

from tessera.cli.main import main
from tessera.families.pairs import get_pair
from tessera.models.initialise import without_memory
from tessera.models.pair.pair import QllamaPair
from tessera.recipes.shelf import load_recipe, shipped_recipes
from tessera.train.recipe import Recipe, Stage, gaps
from tessera.train.update.rules import assign


def stages(name: str) -> tuple[Stage, ...]:
    recipe = load_recipe(name)
    assert isinstance(recipe, Recipe)
    return recipe.stages


def rates(stage: Stage) -> dict[str, float]:
    """Rate of every trained weight of the released model."""
    with without_memory():
        model = QllamaPair(get_pair("InternVL-14B-224px")[1])
    return {one.name: one.learning_rate for one in assign(model, stage.rules)}


def test_stage_1() -> None:
    masked, whole = stages("pair/stage_1")
    assert masked.steps + whole.steps == 175_000 and masked.schedule.warmup == 5000
    objective = masked.objective
    assert (objective.kind, objective.masked, objective.side) == ("pair_contrast", 0.5, 196)
    assert (whole.objective.masked, whole.objective.side) == (0.0, None)
    assert objective.pictures * masked.accumulate == 163_840
    assert 0.495e9 < whole.steps * 163_840 < 0.505e9
    assert masked.optimizer.betas == (0.9, 0.95) and masked.rules[1].weight_decay == 0.1
    assert (masked.drop_path, masked.drop_path_uniform) == (0.2, True)
    found = rates(masked)
    assert found["vision.layers.7.mlp.fc1.weight"] == found["clip_projector.cross_attn.q.weight"] == 1e-3
    assert found["qllama.layers.7.mlp.up_proj.weight"] == found["text_projection"] == 1e-4
    assert not any(name.endswith(("cross_attn.k_proj.weight", "query_tokens")) for name in found)


def test_stage_2() -> None:
    (tasks,) = stages("pair/stage_2")
    assert (tasks.steps, tasks.schedule.warmup, tasks.optimizer.betas) == (80_000, 2000, (0.9, 0.98))
    assert tasks.objective.pictures * tasks.accumulate == 20_480 and tasks.drop_path == 0.0
    found = rates(tasks)
    assert set(found.values()) == {5e-5} and tasks.rules[0].weight_decay == 0.05
    heads = ("query_tokens", "logit_scale", "itm_head", "clip_projector2")
    assert all(name.startswith(heads) or ".cross_attn." in name for name in found)
    assert "clip_projector.cross_attn.q.weight" not in found and "text_projection" not in found


def test_retrieval() -> None:
    (stage,) = stages("pair/retrieval")
    assert (stage.epochs, stage.schedule.warmup, stage.drop_path) == (10, 100, 0.3)
    assert stage.objective.pictures * stage.accumulate == 1024 and stage.objective.clean
    assert (stage.objective.crops.least, stage.objective.crops.flip) == (0.5, 0.5)
    assert load_recipe("pair/retrieval").start.image_size == 364
    found = rates(stage)
    assert found["qllama.embed_tokens.weight"] == pytest.approx(1e-6 * 0.9**33) == found["query_tokens"]
    assert found["vision.embeddings.class_embedding"] == pytest.approx(1e-6 * 0.9**49)
    assert found["vision.layers.47.ls1"] == pytest.approx(1e-6 * 0.9)
    assert found["itm_head.weight"] == found["text_projection"] == 1e-6


def test_what_is_the_users_is_asked_for() -> None:
    assert set(gaps(load_recipe("pair/stage_2"))) == {"stages.0.sources.0.meta", "start.checkpoint"}


@pytest.mark.parametrize(
    ("name", "rate", "batch"),
    [("stage_1", "1e-3", "164K"), ("stage_2", "5e-5", "20K"), ("retrieval", "1e-6", "1,024")],
)
def test_the_table_shows_them(name: str, rate: str, batch: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = shipped_recipes()[f"pair/{name}"].line()
    assert (line.generation, line.size, line.rate, line.batch) == ("1", "14B", rate, batch)
    assert main(["recipes", "pair/", "--memory"]) == 0
    assert f"pair/{name}" in capsys.readouterr().out
    assert main(["recipes", f"pair/{name}"]) == 0
    assert "objective  pair_" in capsys.readouterr().out
