"""Every shipped recipe builds and takes two steps a stage; its card says how to run it and what to expect."""

import ast
import math
from pathlib import Path

import pytest
from rich.console import Console

from tessera.cli.train import bars, prepare, train
from tessera.train.objective.contrastive import Contrastive
from tessera.train.recipe import Recipe, Start, load_recipe

ROOT = Path(__file__).resolve().parents[2] / "src" / "tessera" / "recipes"
RECIPES = [file for file in sorted(ROOT.rglob("*.py")) if "def recipe(" in file.read_text(encoding="utf-8")]


def _small(recipe: Recipe) -> Recipe:
    """The same stages with two short steps each, from fresh weights."""
    stages = []
    for stage in recipe.stages:
        packing = stage.packing.model_copy(update={"max_tokens": 768, "max_tiles": 8, "lookahead": 4})
        change = {"steps": 2, "packing": packing, "accumulate": 1}
        if isinstance(stage.objective, Contrastive):
            change["objective"] = stage.objective.model_copy(update={"pictures": 4})
        stages.append(stage.model_copy(update=change))
    return recipe.model_copy(update={"stages": tuple(stages), "start": Start(), "precision": "float32"})


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_two_steps(file: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    recipe = load_recipe(file)
    if file.stem == "fine_tune":
        pytest.skip("needs the user's own data: covered by tests/docs")
    with bars(Console(quiet=True)) as progress:
        trainer = prepare(_small(recipe), tmp_path, progress)
        figures = train(trainer, progress)
    assert list(figures) == [stage.name for stage in recipe.stages]
    assert all(math.isfinite(f["loss"]) and f["steps"] == 2 for f in figures.values())
    assert all(any(trainer.stage_folder(i).iterdir()) for i in range(len(recipe.stages)))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_card(file: Path) -> None:
    card = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    for field in ("Command:", "Hardware:", "Time:", "Expected:"):
        assert field in card, f"{file.name}: the first docstring lacks {field!r}"


def test_recipes_were_found() -> None:
    assert len(RECIPES) >= 4
