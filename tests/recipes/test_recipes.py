"""Every shipped recipe builds and takes two steps a stage; its card says how to run it and what to expect."""

import math
from pathlib import Path

import pytest
from rich.console import Console

from tessera.cli.training.train import follow, prepare
from tessera.recipes.offer import FileRecipe
from tessera.recipes.shelf import load_recipe, match_recipes, shipped_recipes
from tessera.runtime.progress import Bars
from tessera.train.objective.contract import ManifestSpec
from tessera.train.recipe import Recipe, Start
from tessera.train.watch.telemetry import stage_figures

RECIPES = {name: offer for name, offer in shipped_recipes().items() if isinstance(offer, FileRecipe)}


def _small(recipe: Recipe) -> Recipe:
    """The same stages with two short steps each, from fresh weights."""
    stages = []
    for stage in recipe.stages:
        packing = stage.packing.model_copy(update={"max_tokens": 768, "max_tiles": 8, "lookahead": 4})
        change = {"steps": 2, "packing": packing, "accumulate": 1}
        if hasattr(stage.objective, "pictures"):
            change["objective"] = stage.objective.model_copy(update={"pictures": 4})
        stages.append(stage.model_copy(update=change))
    start = Start() if recipe.start.audio is None else recipe.start  # ears are added to a model that sees
    return recipe.model_copy(update={"stages": tuple(stages), "start": start, "precision": "float32"})


@pytest.mark.parametrize("name", RECIPES)
def test_two_steps(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    if any(isinstance(source, ManifestSpec) for stage in recipe.stages for source in stage.sources):
        pytest.skip("needs the user's own data: covered elsewhere")
    if recipe.start.resolution is not None:
        pytest.skip("imitates the shipped model: covered elsewhere")
    silent, console = Bars(), Console(quiet=True)
    trainer = prepare(_small(recipe), tmp_path, silent, console)
    figures = stage_figures(follow(trainer, trainer.run(), silent, console))
    assert list(figures) == [stage.name for stage in recipe.stages]
    assert all(math.isfinite(f["loss"]) and f["steps"] == 2 for f in figures.values())
    assert all(any(trainer.stage_folder(i).iterdir()) for i in range(len(recipe.stages)))


@pytest.mark.parametrize("name", RECIPES)
def test_card(name: str) -> None:
    """Every field is there, and the command runs this recipe."""
    card = RECIPES[name].card()
    for field in ("purpose", "command", "trained", "stages", "hardware", "time", "expected"):
        assert card.get(field), f"{name}: the first docstring lacks {field!r}"
    assert match_recipes(card["command"].split()[2]) == [name]
    stages = {stage.name: stage.steps for stage in load_recipe(name).stages}
    assert RECIPES[name].line().stages == stages


def test_recipes_were_found() -> None:
    assert len(RECIPES) >= 4
