"""Every published stage: its values against the page of facts, and its plan on a model without memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from math import ceil
from pathlib import Path

import pytest
import torch
from torch import nn

from tessera.families.internvl.weights import official_table
from tessera.models.accounting import count_parameters
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.nn.lora import LoRAConfig, LoRALinear
from tessera.recipes.internvl.build import build, build_stage
from tessera.recipes.internvl.stage import PARTS, Data, PublishedStage
from tessera.recipes.internvl.table import published_runs
from tessera.recipes.shelf import load_recipe
from tessera.train.plan.groups import rule_groups
from tessera.train.plan.shape import stage_model
from tessera.train.recipe import gaps
from tessera.train.update.rules import assign, decides
from tessera.train.update.wrapping import require_linears

FACTS = Path(__file__).parents[2] / "docs" / "facts" / "recipes.md"
COLUMNS = ("trained", "rate", "decay", "drop_path", "batch", "length", "steps", "warmup")
SINGLE = {name: run[0] for name, run in published_runs().items() if len(run) == 1}
CONVERSATIONS = {name: stage for name, stage in SINGLE.items() if not stage.teacher}


def facts() -> Iterator[tuple[str, list[str]]]:
    """(recipe, cells) of the tables, braces expanded."""
    for row in re.findall(r"^\| (internvl\S+/\S+) \| (.+) \|$", FACTS.read_text(), re.M):
        parts = [part.split(",") for part in re.split(r"[{}]", row[0])]
        for name in product(*parts):
            yield "".join(name), row[1].split(" | ")


def cells(stage: PublishedStage) -> list[str]:
    """A stage as its row in the tables would be."""
    flags = "".join("T" if part in stage.trained else "F" for part in PARTS)
    inside = "A" if "attention" in stage.trained else "E" if "experts" in stage.trained else ""
    flags = flags[:2] + (inside or flags[2])
    values = {
        "trained": str(stage.lora_rank or flags),
        "rate": f"{stage.rate:.0e}".replace("e-0", "e-"),
        "decay": f"{stage.decay:g}",
        "drop_path": "none" if stage.drop_path is None else f"{stage.drop_path:g}",
        "batch": f"{stage.batch}{'' if stage.packed else 's'}",
        "length": str(stage.length),
        "steps": str(stage.steps or "pass"),
        "warmup": f"{stage.warmup:g}",
    }
    doubts = {"trained" if name == "lora_rank" else name for name in stage.unverified}
    return [values[name] + (" u" if name in doubts else "") for name in COLUMNS]


def test_every_value_is_that_of_the_page_of_facts() -> None:
    told = dict(facts())
    assert set(told) == set(CONVERSATIONS)
    wrong = {name: (told[name], cells(s)) for name, s in CONVERSATIONS.items() if told[name] != cells(s)}
    assert not wrong


def test_unverified_names_fields() -> None:
    fields = set(PublishedStage.__dataclass_fields__)
    assert all(set(stage.unverified) <= fields for stage in SINGLE.values())


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_recipe_says_what_was_published(name: str) -> None:
    stage, made = SINGLE[name], build_stage(SINGLE[name])
    rated = [rule for rule in made.rules if rule.learning_rate is not None]
    assert {rule.learning_rate for rule in rated} == {stage.rate}
    assert {rule.weight_decay for rule in rated} == {stage.decay}
    assert (made.drop_path, made.packing.max_tokens) == (stage.drop_path, stage.length)
    assert made.packing.averaging == ("square" if stage.packed else "token")
    assert made.epochs == (None if stage.steps else 1.0) and (not stage.steps or made.steps == stage.steps)
    assert (made.optimizer.kind, made.optimizer.betas, made.optimizer.clip) == ("adamw", (0.9, 0.999), 1.0)
    warmup = ceil(stage.warmup if stage.warmup >= 1 else stage.warmup * made.steps)
    factors = [made.schedule.factor(step, made.steps) for step in (0, warmup, made.steps - 1)]
    assert factors[0] < 0.2 and factors[1] == pytest.approx(1, abs=1e-3) and factors[2] < 1e-3
    if stage.packed:
        assert made.accumulate == stage.batch and made.packing.max_tiles == stage.pack_tiles
    else:  # about as many samples, by our estimate of their length
        held = made.accumulate * made.packing.max_tokens / stage.sample_tokens
        assert stage.batch / 1.5 < held < stage.batch * 1.5
    shares = [source.token_share for source in made.sources]
    assert shares == ([0.25, 0.75] if name.endswith("/native") else [None] * len(stage.data))
    assert [s.max_dynamic_patch for s in made.sources] == [stage.picture_tiles] * len(stage.data)


@cache
def empty(name: str) -> VLM:
    """The model of a recipe on the meta device. Those of one shape are shared."""
    return _empty(SINGLE[name].entry.model)


@cache
def _empty(config: object) -> VLM:
    with without_memory():
        return VLM(config)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [n for n, s in CONVERSATIONS.items() if not s.lora_rank])
def test_the_parts_that_are_trained(name: str) -> None:
    """Flag by flag, no pattern is dead, and every matrix decays."""
    stage, model = SINGLE[name], empty(name)
    trained = assign(model, build_stage(stage).rules)
    counts = count_parameters(stage.entry.model)
    if set(stage.trained) <= set(PARTS):
        assert sum(a.parameter.numel() for a in trained) == sum(counts[part] for part in stage.trained)
    assert stage.learned() == sum(a.parameter.numel() for a in trained)
    assert {a.weight_decay for a in trained if a.parameter.dim() > 1} == {stage.decay}
    assert all(p.device == torch.device("meta") for p in model.parameters())


FILES = {"internlm2": "InternLM2, 2.5, 3", "phi3": "Phi-3", "qwen2": "Qwen2, LLaMA", "llama": "Qwen2, LLaMA"}


@pytest.mark.parametrize("name", [n for n, s in CONVERSATIONS.items() if s.lora_rank])
def test_lora_reaches_the_published_layers(name: str) -> None:
    """All of those in every block of the decoder, by the names of its files, and no other."""
    stage, model = SINGLE[name], empty(name)
    rules = build_stage(stage).rules
    require_linears(model, rules)
    linears = {path: m for path, m in model.named_modules() if isinstance(m, nn.Linear)}
    found = {path: m for path, m in linears.items() if rules[decides(rules, f"{path}.weight") or 0].lora}
    decoder = stage.entry.model.decoder
    stored = official_table(decoder.architecture, decoder.head_width)
    layers: dict[str, set[str]] = {}
    for path in found:
        for key in stored.group(f"{path}.weight").stored:
            number, layer = re.fullmatch(r"language_model\.model\.layers\.(\d+)\.(.+)\.weight", key).groups()  # type: ignore[union-attr]
            layers.setdefault(number, set()).add(layer)
    row = re.search(rf"^\| {re.escape(FILES[decoder.architecture])} \| (.+) \|$", FACTS.read_text(), re.M)
    assert row and len(layers) == decoder.num_hidden_layers
    assert all(names == set(re.findall(r"`(\S+)`", row[1])) for names in layers.values())
    rank = stage.lora_rank
    assert stage.learned() == rank * sum(m.in_features + m.out_features for m in found.values())
    adapter = LoRALinear(nn.Linear(6, 4), rules[0].lora or LoRAConfig(), 0)
    assert (adapter.rank, adapter.scale, adapter.dropout) == (rank, 2.0, 0.05)
    frozen = [rule for rule in rules if rule.learning_rate is None]
    assert [rule.pattern for rule in frozen] == [rf"^{part}\." for part in PARTS]


@pytest.mark.parametrize("name", published_runs())
def test_what_is_left_to_the_user(name: str) -> None:
    """Data always; first weights only where nobody published them."""
    run, recipe = published_runs()[name], load_recipe(name)
    missing = set(gaps(recipe))
    data = {f"stages.{i}.sources.{j}.meta" for i, stage in enumerate(run) for j in range(len(stage.data))}
    assert data <= missing <= data | {"start.checkpoint", "start.decoder", "start.vision"}
    assert ("start.checkpoint" in missing) == bool(run[0].after and not run[0].checkpoint)
    assert [stage.name for stage in recipe.stages] == [stage.name for stage in run]
    own = (Data("mine", meta="mine.json"),)
    filled = [stage.then(stage.name, checkpoint="x", data=own) for stage in run]
    assert not gaps(build(*filled))


@pytest.mark.parametrize(
    "name", ["internvl_2_5/8b/stage_1_5", "internvl_2_5/8b/stage_2", "internvl_3/1b/second_lora"]
)
def test_the_least_memory_is_what_the_plan_counts(name: str) -> None:
    stage = SINGLE[name]
    rules = build_stage(stage).rules
    groups = rule_groups(stage_model(stage.entry.model, rules), rules)
    held = sum(group.frozen + group.trained for group in groups)
    assert stage.state_bytes() == 2 * held + 16 * sum(group.trained for group in groups)


def test_the_progressive_chain() -> None:
    """300M → beside 8B → 1B, 2B, 4B; 6B → beside 26B → 38B, 78B."""
    chain = {name: stage.vision_after for name, stage in SINGLE.items() if stage.vision_after}
    small, large = "internvl_2_5/8b/stage_1_5", "internvl_2_5/26b/stage_1_5"
    assert chain == {
        **{f"internvl_2_5/{size}/stage_1": small for size in ("1b", "2b", "4b")},
        **{f"internvl_2_5/{size}/stage_1": large for size in ("38b", "78b")},
    }
    old = {size: SINGLE[f"internvl_2_5/{size}/stage_1"].vision for size in ("8b", "26b", "1b", "38b")}
    assert [name.removeprefix("OpenGVLab/InternViT-") for name in old.values()] == [
        *("300M-448px", "6B-448px-V1-5", "300M-448px-V2_5", "6B-448px-V2_5"),
    ]
    for name, stage in SINGLE.items():  # what one goes on from is on the shelf, and of the same size
        assert not stage.after or SINGLE[stage.after].size == stage.size, name
