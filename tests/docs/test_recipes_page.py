"""The page of recipes: its programs are recipes, and every field in its table is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from tessera.recipes.rehearsal import rehearse
from tessera.recipes.shelf import load_recipe, shipped_recipes
from tessera.train.recipe import Recipe, gaps


@pytest.fixture
def page(repo_root: Path) -> str:
    return (repo_root / "docs" / "recipes.md").read_text()


def test_programs_are_recipes(page: str, tmp_path: Path) -> None:
    programs = re.findall(r"```python\n(.+?)```", page, re.S)
    assert len(programs) == 2
    names = []
    for number, program in enumerate(programs):
        file = tmp_path / f"page_{number}.py"
        file.write_text(program)
        recipe = load_recipe(file)
        assert not gaps(recipe)
        names.append([stage.name for stage in rehearse(recipe).stages])
    assert names == [["connector", "everything"], ["stage_2"]]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes inside a type, such as tuple[Rule, ...] or LoRAConfig | None."""
    inner = [model for part in get_args(annotation) for model in _models(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else inner


def test_fields_of_the_table_are_fields(page: str) -> None:
    table = page.partition("## What a paper changes")[2].partition("\n## ")[0]
    paths = re.findall(r"`((?:stages|start|precision|parallel|seed)[\w.]*)`", table)
    assert len(paths) > 30
    for path in paths:
        models: list[type[BaseModel]] = [Recipe]
        for name in (part for part in path.split(".") if part != "N"):
            owners = [model for model in models if name in model.model_fields]
            assert owners, f"{path}: {name} is no field"
            models = [m for owner in owners for m in _models(owner.model_fields[name].annotation)]


def test_stages_of_the_table_are_on_the_shelf(page: str) -> None:
    table = page.partition("## Published recipes")[2].partition("\n- **")[0]
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.+?) \|", table, re.M))))
    known = {name.rpartition("/")[2] for name in shipped_recipes() if name.startswith("intern")}
    assert told == known
