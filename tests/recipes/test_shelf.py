"""Recipes by name and by path, copies that train like the original, and mistakes with their remedies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessera.recipes import shelf
from tessera.recipes.shelf import copy_recipe, find_recipe, load_recipe, match_recipes, shipped_recipes


@pytest.mark.parametrize("name", ["internvl_2_5", "internvl-2.5", "scale_model/internvl_2_5"])
def test_names(name: str) -> None:
    assert match_recipes(name) == ["scale_model/internvl_2_5"]
    assert load_recipe(name).name == "scale_model_internvl_2_5"


def test_scripts_that_make_assets_are_no_recipes() -> None:
    assert {"scale_model/ship", "scale_model/tokenizer", "scale_model/demo"}.isdisjoint(shipped_recipes())
    assert "scale_model/shipped" in shipped_recipes()


def test_an_ambiguous_name_names_its_meanings(monkeypatch: pytest.MonkeyPatch) -> None:
    files = shipped_recipes()
    other = {"big/text": files["scale_model/text"]} | files
    monkeypatch.setattr(shelf, "shipped_recipes", lambda: other)
    with pytest.raises(ValueError, match="'text' is ambiguous; did you mean big/text or scale_model/text"):
        find_recipe("text")
    assert match_recipes("big/text") == ["big/text"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("internvl_2_6", "'internvl_2_6' is unknown; did you mean internvl_2_5"),
        ("mystery", r"'mystery' is unknown; `tessera recipes` lists \d+, or give a .py file"),
        ("internvl_2_5/8b/stage1", "is unknown; did you mean internvl_2_5/8b/stage_1 or"),
        ("8b/second_lora", "'8b/second_lora' is ambiguous; did you mean internvl_2/8b/second_lora or"),
        ("gone.py", "recipe file gone.py does not exist; correct the path"),
    ],
)
def test_mistakes(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_recipe(name)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_copy_is_the_same_recipe(name: str, tmp_path: Path) -> None:
    """Also of a recipe that builds on another one, and of published values."""
    file = copy_recipe(name, tmp_path / "new" / "mine.py")
    assert load_recipe(file) == load_recipe(name)
    with pytest.raises(ValueError, match=r"mine.py is there already; give another name"):
        copy_recipe(name, file)


def test_a_copy_is_named_like_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert copy_recipe("vision") == Path("vision.py") and Path("vision.py").is_file()
    with pytest.raises(ValueError, match="a recipe is a Python file; give a name that ends with .py"):
        copy_recipe("vision", tmp_path / "mine")


def test_a_file_without_recipe_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.py"
    file.write_text("def recipe():\n    return 3\n")
    with pytest.raises(ValueError, match=r"empty.py needs a function recipe\(\) that returns"):
        load_recipe(file)
