"""The recipe of docs/lora.md is one, and its rules wrap what the page says."""

from __future__ import annotations

from pathlib import Path

from tessera.nn.lora import lora_linears
from tessera.train.recipe import Recipe
from tessera.train.update.masters import Masters
from tessera.train.update.rules import assign
from tessera.train.update.wrapping import require_linears, wrap
from tests.docs.pages import blocks
from tests.train import tiny


def test_the_pages_recipe(repo_root: Path) -> None:
    names: dict[str, object] = {}
    exec(blocks(repo_root / "docs" / "lora.md", "python")[0], names)  # noqa: S102
    made = names["recipe"]
    assert callable(made)
    recipe = made()
    assert isinstance(recipe, Recipe) and recipe.start.frozen == "int4"
    rules, model = recipe.stages[0].rules, tiny.model()
    require_linears(model, rules)
    wrap(model, rules, 0, Masters())
    ranks = {(path.partition(".")[0], layer.rank, layer.scale) for path, layer in lora_linears(model)}
    assert ranks == {("decoder", 16, 2.0), ("vision", 8, 16 / 8**0.5)}
    trained = {a.name.partition(".")[0] for a in assign(model, rules) if "lora_" not in a.name}
    assert trained == {"connector"}
