"""Runs with LoRA: what their stages leave, what they start from, and bases in few bits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.families.catalogue import fresh
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.nn.lora import LoRAConfig, lora_linears
from tessera.nn.quantised import Int4Linear, QuantisedLinear
from tessera.train.loop import Trainer
from tessera.train.publish import Publisher
from tessera.train.recipe import Recipe, Start
from tessera.train.setup import set_up
from tessera.train.update.rules import Rule
from tests.train import tiny

FREEZE = Rule(pattern=".")
LORA = LoRAConfig(rank=2, dropout=0.1)
BLOCKS = Rule(pattern=r"\.layers\.", learning_rate=1e-2, lora=LORA)
CONNECTOR = Rule(pattern=r"^connector\.", learning_rate=1e-2)
RULES = (BLOCKS, CONNECTOR, FREEZE)


def saved(folder: Path, layout: LayoutName = "official", dtype: torch.dtype | None = None) -> Path:
    family = fresh("nano_model", tiny.tokenizer())
    return save_checkpoint(folder, tiny.model(), family, tiny.tokenizer(), layout, dtype)


def recipe(start: Start, *rules: tuple[Rule, ...], precision: str = "float32") -> Recipe:
    base = tiny.recipe()
    stage = base.stages[0].model_copy(update={"steps": 2})
    stages = [stage.model_copy(update={"name": f"s{n}", "rules": given}) for n, given in enumerate(rules)]
    return base.model_copy(update={"stages": tuple(stages), "start": start, "precision": precision})


def run(given: Recipe, folder: Path) -> Trainer:
    trainer = Trainer(set_up(given), folder)
    reports = list(trainer.run())
    assert all(report.gradient_norm > 0 for report in reports)
    return trainer


@torch.inference_mode()
def logits(model: torch.nn.Module) -> torch.Tensor:
    sample = tiny.samples(1)[0]
    ids, tiles = torch.from_numpy(sample.ids).long(), torch.from_numpy(sample.tiles)
    assert isinstance(model, VLM)
    return model.eval().logits(model(ids, Packed((len(ids),)), tiles=tiles))


def opened(folder: Path, apart: bool = True) -> VLM:
    base, adapter = find_with_adapter(folder)
    return load_checkpoint(base, adapter=adapter, apart=apart).model


@pytest.mark.parametrize("layout", ["official", "transformers", "tessera"])
def test_two_stages_leave_adapters_of_the_start(layout: LayoutName, tmp_path: Path) -> None:
    """The second one goes on with the first one's factors; what was trained itself is in both."""
    base = saved(tmp_path / "base", layout)
    start = Start(checkpoint=str(base))
    trainer = run(recipe(start, RULES, (BLOCKS, FREEZE)), tmp_path / "run")
    first, last = trainer.stage_folder(0), trainer.stage_folder(1)
    files = sorted(path.name for path in last.iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors"]
    assert find_with_adapter(last) == (base, last)
    torch.testing.assert_close(logits(opened(last)), logits(trainer.model), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits(opened(last, apart=False)), logits(trainer.model), atol=1e-4, rtol=1e-4)
    assert (logits(opened(first)) - logits(opened(last))).abs().max() > 1e-3
    before = load_checkpoint(base).model
    after = dict(opened(last).named_parameters())
    name = "connector.linear_1.weight"
    assert not torch.equal(after[name], dict(before.named_parameters())[name])
    assert not list(tmp_path.glob("run/base_*"))


def test_peft_opens_a_run(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="peft, which has to open adapters, is not installed")
    transformers = pytest.importorskip("transformers")
    base = saved(tmp_path / "base", "transformers")
    trainer = run(recipe(Start(checkpoint=str(base)), RULES), tmp_path / "run")
    theirs = transformers.AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    wrapped = peft.PeftModel.from_pretrained(theirs, trainer.stage_folder(0)).eval()
    ids = torch.arange(10, 40)
    with torch.inference_mode():
        ours = trainer.model.eval()
        wanted = ours.logits(ours(ids, Packed((30,))))
        found = wrapped(input_ids=ids[None]).logits[0]
        plain = load_checkpoint(base).model
        assert (plain.logits(plain(ids, Packed((30,)))) - wanted).abs().max() > 1e-3
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_bases_that_lie_nowhere_are_written(tmp_path: Path) -> None:
    """Fresh weights; a stage in full; other factors, for which the first are merged."""
    other = BLOCKS.model_copy(update={"lora": LoRAConfig(rank=3)})
    stages = ((BLOCKS, FREEZE), (other, FREEZE), (tiny.ALL,), (BLOCKS, FREEZE))
    trainer = run(recipe(Start(family="nano_model"), *stages), tmp_path)
    bases = [find_with_adapter(trainer.stage_folder(index))[0].name for index in range(4)]
    assert bases == ["base_0_s0", "base_1_s1", "2_s2", "2_s2"]
    torch.testing.assert_close(logits(opened(tmp_path / "3_s3")), logits(trainer.model), atol=1e-5, rtol=1e-5)
    merged = logits(load_checkpoint(tmp_path / "base_1_s1").model)
    torch.testing.assert_close(merged, logits(opened(tmp_path / "0_s0")), atol=1e-4, rtol=1e-4)


def factors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if "lora_" in name}


def test_a_second_run_goes_on_with_the_factors(tmp_path: Path) -> None:
    """By checkpoint and adapter, and by the adapter alone, which names its base; the base stays the first."""
    base = saved(tmp_path / "base")
    first = run(recipe(Start(checkpoint=str(base)), (BLOCKS, FREEZE)), tmp_path / "one")
    adapter = first.stage_folder(0)
    for number, start in enumerate(
        (Start(checkpoint=str(base), adapter=str(adapter)), Start(checkpoint=str(adapter)))
    ):
        setup = set_up(recipe(start, (BLOCKS, FREEZE)))
        trainer = Trainer(setup, tmp_path / f"two{number}")
        begun = factors(trainer.model)
        trained = factors(first.model)
        assert begun.keys() == trained.keys() and all(torch.equal(begun[n], trained[n]) for n in begun)
        list(trainer.run())
        assert find_with_adapter(trainer.stage_folder(0)) == (base, trainer.stage_folder(0))
        assert not all(torch.equal(begun[n], p) for n, p in factors(trainer.model).items())


def test_a_second_run_with_other_rules_merges(tmp_path: Path) -> None:
    base = saved(tmp_path / "base")
    first = run(recipe(Start(checkpoint=str(base)), RULES), tmp_path / "one")
    start = Start(checkpoint=str(base), adapter=str(first.stage_folder(0)))
    other = BLOCKS.model_copy(update={"lora": LoRAConfig(rank=5)})
    setup = set_up(recipe(start, (other, FREEZE)))
    assert next(lora_linears(setup.learner.model))[1].rank == 2
    trainer = Trainer(setup, tmp_path / "two")
    assert {layer.rank for _, layer in lora_linears(trainer.model)} == {5}
    torch.testing.assert_close(logits(trainer.model), logits(first.model), atol=1e-4, rtol=1e-4)
    list(trainer.run())
    assert find_with_adapter(trainer.stage_folder(0))[0].name == "base_0_s0"
    torch.testing.assert_close(logits(opened(trainer.stage_folder(0))), logits(trainer.model))


@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_frozen_bases_in_few_bits(kind: str, precision: str, tmp_path: Path) -> None:
    """Only what no stage trains is quantised, and factors learn beside it; whole models of such a run hold
    the stored weights."""
    base = saved(tmp_path / "base", dtype=torch.bfloat16)
    mlp = Rule(pattern=r"decoder\.layers\.0\.mlp", learning_rate=1e-2)
    start = Start(checkpoint=str(base), frozen=kind)
    stages = ((CONNECTOR, FREEZE), (mlp, BLOCKS, FREEZE))
    trainer = run(recipe(start, *stages, precision=precision), tmp_path / "run")
    kept = {path: m for path, m in trainer.model.named_modules() if isinstance(m, QuantisedLinear)}
    assert kept and all(path.endswith(".base") for path in kept)
    assert not any("layers.0.mlp" in path for path in kept if path.startswith("decoder"))
    assert all(isinstance(module, Int4Linear) == (kind == "int4") for module in kept.values())
    stored = dict(load_checkpoint(base).model.named_parameters())
    written = dict(load_checkpoint(trainer.stage_folder(0)).model.named_parameters())
    changed = {name for name in stored if not torch.equal(stored[name], written[name])}
    assert changed and all(name.startswith("connector.") for name in changed)
    layer = dict(lora_linears(trainer.model))["decoder.layers.1.mlp.up_proj"]
    assert layer.lora_B.any()
    config = json.loads((trainer.stage_folder(1) / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(trainer.stage_folder(0))


def test_a_fresh_model_is_frozen_in_few_bits(tmp_path: Path) -> None:
    """Its first weights, read or drawn, can be had again: whole models and bases of adapters hold them."""
    start = Start(decoder=str(saved(tmp_path / "base")), frozen="int8", family="nano_model")
    given = recipe(start, (CONNECTOR, FREEZE), (BLOCKS, FREEZE))
    trainer = run(given, tmp_path / "run")
    kept = [path for path, m in trainer.model.named_modules() if isinstance(m, QuantisedLinear)]
    assert {path.partition(".")[0] for path in kept} == {"vision", "decoder"}
    plain = set_up(given.model_copy(update={"start": start.model_copy(update={"frozen": "stored"})}))
    first = dict(plain.learner.model.named_parameters())
    written = dict(load_checkpoint(trainer.stage_folder(0)).model.named_parameters())
    changed = {name for name in first if not torch.equal(first[name], written[name])}
    assert changed and all(name.startswith("connector.") for name in changed)
    assert find_with_adapter(trainer.stage_folder(1))[0] == trainer.stage_folder(0)
    resumed = Trainer(set_up(given), tmp_path / "run")
    assert resumed.resumed_at == (2, 0)


def test_a_quantised_run_is_resumed(tmp_path: Path) -> None:
    base = saved(tmp_path / "base")
    given = recipe(Start(checkpoint=str(base), frozen="int4"), (BLOCKS, FREEZE))
    given = given.model_copy(update={"save_every": 1})
    whole = run(given, tmp_path / "whole")
    begun = Trainer(set_up(given), tmp_path / "cut").run()
    next(begun)
    next(begun)
    begun.close()
    resumed = Trainer(set_up(given), tmp_path / "cut")
    assert resumed.resumed_at == (0, 1)
    list(resumed.run())
    assert all(torch.equal(p, factors(whole.model)[n]) for n, p in factors(resumed.model).items())


def test_what_cannot_start(tmp_path: Path) -> None:
    base = saved(tmp_path / "base")
    other = BLOCKS.model_copy(update={"lora": LoRAConfig(rank=3)})
    start = Start(checkpoint=str(base), frozen="int8")
    with pytest.raises(ValueError, match=r"stages\.1: 's1' has other LoRA settings.*quantised base"):
        Trainer(set_up(recipe(start, (BLOCKS, FREEZE), (other, FREEZE))), tmp_path / "run")
    with pytest.raises(ValueError, match="start.adapter: it needs the start.checkpoint"):
        set_up(recipe(Start(adapter=str(base)), (BLOCKS, FREEZE)))
    norms = Rule(pattern=r"ls1", learning_rate=1e-3)
    with pytest.raises(ValueError, match="has LoRA factors, and a weight in the same module is trained"):
        Trainer(set_up(recipe(Start(checkpoint=str(base)), (norms, BLOCKS, FREEZE))), tmp_path / "run")


def test_sharded_runs_keep_one_set_of_factors(tmp_path: Path) -> None:
    """Factors of a later stage would not be spread as weights are: each process would train its own."""
    base = saved(tmp_path / "base")
    start = Start(checkpoint=str(base))
    Publisher(set_up(recipe(start, RULES, (BLOCKS, FREEZE))), tmp_path).require_one_wrapping()
    for stages in (((CONNECTOR, FREEZE), RULES), (RULES, (CONNECTOR, FREEZE))):
        with pytest.raises(ValueError, match=r"stages\.1: 's1' has LoRA on other linears.*run of its own"):
            Publisher(set_up(recipe(start, *stages)), tmp_path).require_one_wrapping()
