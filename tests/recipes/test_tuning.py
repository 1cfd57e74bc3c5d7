"""Defaults of a fine-tune: published values of the model, sizes by the data, all of it written down."""

from __future__ import annotations

import json
from pathlib import Path
from runpy import run_path

import pytest

from tessera.families.catalogue import get_entry, get_family
from tessera.recipes.internvl.second import SERIES
from tessera.recipes.shelf import load_recipe
from tessera.recipes.tuning import LINEARS, DataLengths, Wish, choose, published
from tessera.recipes.tuning_data import measure, read_data, write_parts
from tessera.recipes.written import written
from tessera.records.export import write_dataset
from tessera.train.objective.preference import PreferenceObjective
from tessera.train.recipe import Recipe
from tessera.train.update.rules import table
from tessera.train.update.wrapping import require_linears
from tests.train import tiny

DATA = DataLengths(records=10_000, tokens=5_000_000, tiles=20_000, longest_tokens=3000, longest_tiles=7)


def chosen(model: str, data: DataLengths = DATA, **wish: object) -> Recipe:
    return choose(get_family(model), model, data, "meta.json", "val.json", Wish(**wish))[0]


@pytest.mark.parametrize("model", SERIES)
def test_a_published_model_gets_its_own_values(model: str) -> None:
    row, whose = published(get_entry(model).family())
    assert row == SERIES[model] and model in whose
    rule = chosen(model).stages[0].rules[0]
    assert (rule.learning_rate, rule.weight_decay) == (SERIES[model].rate, SERIES[model].decay)
    assert rule.lora is not None and (rule.lora.rank, rule.lora.scale) == (16, 2.0)


def test_others_get_those_of_their_size() -> None:
    eight = get_entry("InternVL3-8B").family()
    unknown = eight.model_copy(update={"name": "mine", "template": "internlm2-chat"})
    assert published(unknown) == (
        SERIES["InternVL2_5-8B"],
        "published for InternVL2_5-8B, the nearest in size",
    )
    assert "scale model" in published(get_family("scale_model"))[1]


def test_sizes_by_hand() -> None:
    """16 samples of 500 tokens are 8,000; 8,192 is a multiple of 256; two passes over 5 million tokens."""
    stage = chosen("InternVL3-2B").stages[0]
    assert (stage.packing.max_tokens, stage.accumulate) == (8192, 1)
    assert stage.packing.max_tiles == 32
    assert stage.steps == -(-2 * 5_000_000 // 8192)
    assert stage.drop_path is None and stage.validation == ("val.json",)


def test_a_full_fine_tune_has_the_published_step() -> None:
    """128 samples of 500 tokens in packs of the published 16,384."""
    stage = chosen("InternVL3-2B", full=True).stages[0]
    assert (stage.packing.max_tokens, stage.accumulate) == (16_384, 4)
    assert [(rule.pattern, rule.learning_rate) for rule in stage.rules] == [
        *((r"^connector\.", 2e-5), (r"^decoder\.", 2e-5), (".", None))
    ]


def test_small_data_gets_more_passes_and_smaller_steps() -> None:
    few = DataLengths(records=300, tokens=60_000, tiles=300, longest_tokens=400, longest_tiles=1)
    recipe, choices = choose(get_family("InternVL3-2B"), "x", few, "m", None, Wish())
    assert recipe.stages[0].packing.max_tokens == 2048  # 9 samples of 200 tokens, in 256s
    assert recipe.stages[0].steps == -(-3 * 60_000 // 2048)
    assert {c.what: c.value for c in choices}["passes"] == "3"
    assert recipe.stages[0].validation == ()


def test_no_record_is_cut() -> None:
    long = DataLengths(records=100, tokens=50_000, tiles=100, longest_tokens=20_001, longest_tiles=60)
    stage = chosen("InternVL3-2B", long).stages[0]
    assert stage.packing.max_tokens == 20_224 and stage.packing.over_long == "error"
    assert stage.packing.max_tiles >= 60


def test_what_is_asked_wins() -> None:
    wish = {"parts": ("vision", "decoder"), "rate": 1e-3, "passes": 0.5, "samples": 4, "max_tokens": 9000}
    stage = chosen("InternVL3-2B", lora_rank=8, lora_alpha=8.0, **wish).stages[0]
    assert [rule.pattern for rule in stage.rules] == [LINEARS["vision"], LINEARS["decoder"], "."]
    assert stage.rules[0].lora is not None and stage.rules[0].lora.scale == 1
    assert (stage.rules[1].learning_rate, stage.packing.max_tokens, stage.steps) == (1e-3, 9000, 278)


@pytest.mark.parametrize("full", [False, True])
def test_rules_fit_the_model(full: bool) -> None:
    """Every pattern decides something, and LoRA meets linears alone."""
    stage = chosen("nano_model", full=full, parts=("vision", "connector", "decoder")).stages[0]
    model = tiny.model()
    require_linears(model, stage.rules)
    assert all(count for _, count, _ in table(model, stage.rules)[:: 1 if full else 2])


@pytest.mark.parametrize("name", ["scale_model/internvl_2_5", "scale_model/text", "scale_model/vision"])
def test_a_written_recipe_is_the_same(name: str, tmp_path: Path) -> None:
    for recipe in (load_recipe(name), chosen("InternVL3-2B"), chosen("InternVL3-2B", full=True)):
        file = tmp_path / "recipe.py"
        file.write_text(written(recipe, "A card.\n\nTime: short\n"), encoding="utf-8")
        assert load_recipe(file) == recipe
        assert run_path(str(file))["__doc__"] == "A card.\n\nTime: short\n"


def test_manifests_and_plain_files_become_two_manifests(tmp_path: Path) -> None:
    written_set = write_dataset(tmp_path / "drawn", {"clock": 1.0}, count=60)
    lines = [json.loads(line) for line in written_set.annotations[0].read_text().splitlines()]
    listed = tmp_path / "drawn" / "listed.json"
    listed.write_text(json.dumps(lines[:20]))
    specs = read_data([str(written_set.meta), str(listed)])
    assert [spec.name for spec in specs] == ["playground_clock", "listed"]
    assert all(Path(spec.root).is_absolute() for spec in specs)
    training, validation = write_parts(tmp_path / "data", specs, held_out=0.1)
    assert validation is not None
    encoder = get_family("scale_model").fitted(tiny.tokenizer()).encoder(tiny.tokenizer())
    parts = [measure(file, None, encoder) for file in (training, validation)]
    whole = measure(write_parts(tmp_path / "whole", specs, held_out=0)[0], None, encoder)
    assert parts[0].records + parts[1].records == whole.records == 80
    assert parts[0].tokens + parts[1].tokens == whole.tokens
    assert max(p.longest_tokens for p in parts) == whole.longest_tokens


def test_data_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data: no file .*give a manifest"):
        read_data([str(tmp_path / "nowhere.jsonl")])
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=r"a\.txt.* ends in none of \.yaml, \.jsonl"):
        read_data([str(tmp_path / "a.txt")])
    file = write_dataset(tmp_path / "drawn", {"clock": 1.0}, count=2).annotations[0]
    with pytest.raises(ValueError, match=r"two datasets are called 'clock'"):
        read_data([str(file), str(file)])


def test_full_has_no_factors_to_set() -> None:
    """The rank was passed over without a word."""
    with pytest.raises(ValueError, match="lora_rank = 8: full trains no factors"):
        Wish(full=True, lora_rank=8)


@pytest.mark.parametrize(
    ("model", "full", "rate", "whose"),
    [
        ("InternVL3-8B-Instruct", True, 2e-7, "published for InternVL3-8B"),
        ("InternVL3-8B", False, 2e-6, "10 times that of InternVL3-8B, for factors"),
        ("InternVL2_5-1B", True, 1e-6, "published for InternVL2_5-1B-MPO"),
        ("InternVL2-8B", True, 5e-6, "published for InternVL2-8B-MPO"),
        ("InternVL2-2B", True, 1e-6, "published for 2.5-MPO"),
        ("scale_model", False, 3e-4, "chosen on the scale model"),
    ],
)
def test_pairs_get_the_rate_of_their_series(model: str, full: bool, rate: float, whose: str) -> None:
    recipe, choices = choose(
        get_family(model), model, DATA, "meta.json", "val.json", Wish(method="mpo", full=full)
    )
    (stage,) = recipe.stages
    assert stage.rules[0].learning_rate == pytest.approx(rate)
    assert any(choice.what == "learning rate" and whose in choice.why for choice in choices)
    assert isinstance(stage.objective, PreferenceObjective) and stage.evaluation is None
    assert (stage.objective.preference, stage.objective.quality, stage.objective.generation) == (0.8, 0.2, 1)


def test_methods_of_pairs() -> None:
    for method in ("dpo", "bco", "ipo", "hinge", "simpo"):
        (stage,) = chosen("InternVL3-2B", method=method, beta=0.3).stages
        assert isinstance(stage.objective, PreferenceObjective) and stage.objective.beta == 0.3
        assert stage.objective.generation == 0
    with pytest.raises(ValueError, match="beta = 0.3: sft compares nothing"):
        chosen("InternVL3-2B", beta=0.3)
