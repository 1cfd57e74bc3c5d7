"""Rules with LoRA: what is wrapped, what is trained, and what becomes of factors between stages."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from tessera.nn.codes import quantise
from tessera.nn.lora import LoRAConfig, LoRALinear, added, lora_linears, own_name, replace_module
from tessera.nn.quantised import Int8Linear
from tessera.train.loop import Trainer
from tessera.train.recipe import Recipe
from tessera.train.setup import set_up
from tessera.train.update.masters import Masters
from tessera.train.update.rules import Rule, assign, changes, table, trains
from tessera.train.update.wrapping import require_linears, wrap
from tests.train import tiny

FREEZE = Rule(pattern=".")
SMALL, LARGE = LoRAConfig(rank=2, dropout=0.1), LoRAConfig(rank=4, alpha=4, rslora=True)
VISION = Rule(pattern=r"^vision\.layers\.", learning_rate=1e-4, layer_decay=0.5, lora=SMALL)
DECODER = Rule(
    pattern=r"^decoder\.layers\..*(q|v)_proj\.weight", learning_rate=2e-4, weight_decay=0.1, lora=LARGE
)
CONNECTOR = Rule(pattern=r"^connector\.", learning_rate=1e-3)
RULES = (VISION, DECODER, CONNECTOR, FREEZE)


def wrapped(*rules: Rule, masters: Masters | None = None) -> torch.nn.Module:
    model = tiny.model()
    wrap(model, rules, 0, masters or Masters())
    return model


def test_linears_are_wrapped_and_only_factors_and_plain_rules_train() -> None:
    model = wrapped(*RULES)
    ranks = {path: module.rank for path, module in lora_linears(model)}
    blocks = range(len(model.vision.layers))
    inside = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    assert {p for p, rank in ranks.items() if rank == 2} == {
        f"vision.layers.{i}.{leaf}" for i in blocks for leaf in inside
    }
    assert all(p.endswith(("q_proj", "v_proj")) for p, rank in ranks.items() if rank == 4)
    trained = {a.name: a for a in assign(model, RULES)}
    kinds = {name.rpartition(".")[2] for name in trained if not name.startswith("connector.")}
    assert kinds == {"lora_A", "lora_B"}
    assert len([name for name in trained if "lora_" in name]) == 2 * len(ranks)
    assert {n for n, p in model.named_parameters() if p.requires_grad} == trained.keys()
    last = len(blocks) - 1
    assert trained[f"vision.layers.{last}.mlp.fc1.lora_A"].learning_rate == 5e-5
    assert trained["vision.layers.0.mlp.fc1.lora_B"].learning_rate == pytest.approx(1e-4 * 0.5 ** (last + 1))
    assert trained["decoder.layers.0.self_attn.q_proj.lora_A"].weight_decay == 0.1


def test_wrapping_changes_no_answer_and_no_name() -> None:
    plain, model = tiny.model(), wrapped(*RULES)
    before = dict(plain.named_parameters())
    after = {own_name(n): p for n, p in model.named_parameters() if "lora_" not in n}
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) for n in before)
    states = dict(model.named_parameters())
    wrap(model, RULES, 0, Masters())
    assert all(p is states[n] for n, p in model.named_parameters()), "twice is once"


def test_table_tells_bases_and_factors() -> None:
    model = wrapped(*RULES)
    rows = table(model, RULES)
    assert rows[0][2] == "frozen" and rows[1] == (
        VISION.pattern,
        sum(m.lora_A.numel() + m.lora_B.numel() for p, m in lora_linears(model) if p.startswith("vision")),
        "0.0001 (LoRA of rank 2, scale 2)",
    )
    assert rows[3][2] == "0.0002 (LoRA of rank 4, scale 2)"
    assert sum(count for _, count, _ in rows) == sum(p.numel() for p in model.parameters())


def test_what_rules_say_of_names() -> None:
    weight, factor = "decoder.layers.0.self_attn.q_proj.weight", "decoder.layers.0.self_attn.q_proj.lora_A"
    assert not trains(RULES, weight) and trains(RULES, factor) and changes(RULES, weight)
    assert trains(RULES, "connector.norm.bias") and not changes(RULES, "decoder.norm.weight")
    assert not trains((VISION, FREEZE), "vision.layers.0.norm1.weight")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"^decoder\.", r"gives LoRA to decoder\.embed_tokens, no linear but Embedding.*\^decoder"),
        (r"^vision\.", r"gives LoRA to vision\.embeddings\.patch_embedding, no linear but Conv2d"),
        (r"layernorm", "has lora but decides no linear"),
        (r"no_such", "has lora but decides no linear"),
    ],
)
def test_lora_for_what_is_no_linear(pattern: str, message: str) -> None:
    rule = Rule(pattern=pattern, learning_rate=1.0, lora=SMALL)
    with pytest.raises(ValueError, match=rf"rules\[0\]\.pattern = '.*{message}"):
        require_linears(tiny.model(), (rule, FREEZE))


def test_a_tied_head_is_refused() -> None:
    model = tiny.model()
    model.decoder.lm_head.weight = model.decoder.embed_tokens.weight
    rule = Rule(pattern="lm_head", learning_rate=1.0, lora=SMALL)
    with pytest.raises(ValueError, match="a head tied to the embedding"):
        require_linears(model, (rule, FREEZE))


def test_factors_without_a_rate() -> None:
    with pytest.raises(ValidationError, match="lora needs a learning_rate"):
        Rule(pattern="x", lora=SMALL)


def disturb(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Draw B, which starts at zero; the exact weights that merging has to give."""
    generator = torch.Generator().manual_seed(1)
    merged = {}
    with torch.no_grad():
        for path, module in lora_linears(model):
            module.lora_B.copy_(torch.randn(module.lora_B.shape, generator=generator))
            merged[f"{path}.weight"] = added(module.weight, module.lora_B, module.lora_A, module.scale)
    return merged


def test_the_next_stage_keeps_or_merges() -> None:
    model = wrapped(VISION, DECODER, FREEZE)
    factors = {path: module.lora_A for path, module in lora_linears(model)}
    merged = disturb(model)
    higher = VISION.model_copy(update={"learning_rate": 9.0, "lora": SMALL.model_copy(update={"dropout": 0})})
    other = DECODER.model_copy(update={"lora": SMALL})
    wrap(model, (higher, other, FREEZE), 0, Masters())
    for path, module in lora_linears(model):
        if path.startswith("vision."):
            assert module.lora_A is factors[path] and module.dropout == 0
        else:
            assert module.rank == 2 and not module.lora_B.any()
            torch.testing.assert_close(module.weight, merged[f"{path}.weight"])
    wrap(model, (CONNECTOR, FREEZE), 0, Masters())
    assert not list(lora_linears(model))
    names = dict(model.named_parameters())
    for name, weight in merged.items():
        torch.testing.assert_close(names[name], weight)


def test_masters_take_part_in_a_merge() -> None:
    """A base with a float32 master gets the sum there; its bfloat16 weight is that sum, rounded."""
    masters, model = Masters("bfloat16"), tiny.model()
    masters.hold(model)
    path = "decoder.layers.0.self_attn.q_proj"
    exact = dict(masters.exact(model))[f"{path}.weight"].clone()
    assert exact.dtype == torch.float32
    wrap(model, (DECODER, FREEZE), 0, masters)
    masters.hold(model)
    module = dict(lora_linears(model))[path]
    for name in ("lora_A", "lora_B"):
        factor = getattr(module, name)
        masters.load(f"{path}.{name}", factor, torch.randn(factor.shape))
    values = dict(masters.exact(model))
    wrap(model, (CONNECTOR, FREEZE), 0, masters)
    after = dict(masters.exact(model))
    wanted = exact + 2.0 * values[f"{path}.lora_B"] @ values[f"{path}.lora_A"]
    torch.testing.assert_close(after[f"{path}.weight"], wanted)
    assert torch.equal(dict(model.named_parameters())[f"{path}.weight"], after[f"{path}.weight"].bfloat16())
    assert not any("lora_" in name for name in after)


def test_a_quantised_base_is_counted_and_keeps_its_factors() -> None:
    model, path = tiny.model(), "decoder.layers.0.self_attn.q_proj"
    plain = model.get_submodule(path)
    replace_module(model, path, quantise(plain.weight).linear(plain.bias))
    rules = (DECODER, FREEZE)
    wrap(model, rules, 0, Masters())
    module = dict(lora_linears(model))[path]
    assert isinstance(module, LoRALinear) and isinstance(module.base, Int8Linear)
    assert f"{path}.lora_A" in {a.name for a in assign(model, rules)}
    base, _, frozen = (count for _, count, _ in table(model, rules))
    assert base + frozen == sum(p.numel() for p in tiny.model().parameters())
    with pytest.raises(ValueError, match="Int8Linear can't take LoRA factors"):
        wrap(model, (CONNECTOR, FREEZE), 0, Masters())


def recipe(precision: str) -> Recipe:
    """LoRA, LoRA of the same shape at another rate, and everything."""
    base = tiny.recipe()
    stage = base.stages[0].model_copy(update={"steps": 2, "drop_path": 0.2})
    again = (VISION.model_copy(update={"learning_rate": 1e-3}), DECODER, FREEZE)
    stages = [
        stage.model_copy(update={"name": name, "rules": rules})
        for name, rules in (("one", RULES), ("two", again), ("three", (tiny.ALL,)))
    ]
    return base.model_copy(update={"stages": tuple(stages), "precision": precision, "save_every": 1})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{file.relative_to(folder)}/{key}": value
        for file in sorted(folder.glob("*_*/**/*.safetensors"))
        for key, value in load_file(file).items()
    }


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    reports = list(Trainer(set_up(recipe(request.param)), folder).run())
    assert [r.stage for r in reports] == ["one", "one", "two", "two", "three", "three"]
    assert all(r.gradient_norm > 0 for r in reports)
    return request.param, folder


@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_a_killed_run_goes_on_to_the_same_bits(
    killed_after: int, whole: tuple[str, Path], tmp_path: Path
) -> None:
    """In each stage and, because the state was saved behind it, at the borders where factors are merged."""
    precision, folder = whole
    run = Trainer(set_up(recipe(precision)), tmp_path).run()
    assert len(list(islice(run, killed_after))) == killed_after
    run.close()
    torch.manual_seed(999)
    trainer = Trainer(set_up(recipe(precision)), tmp_path)
    assert trainer.resumed_at is not None
    list(trainer.run())
    first, second = weights(folder), weights(tmp_path)
    assert len(first) > 20 and first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
