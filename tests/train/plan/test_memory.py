"""Planned bytes beside those that real tensors take in the same step, counted storage by storage."""

import weakref
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tessera.chat.encoder import Lengths
from tessera.nn.lora import LoRAConfig
from tessera.nn.recompute import set_recompute
from tessera.packing.pack import collate
from tessera.train.parallel.config import Parallel
from tessera.train.plan.memory import GATHERED, count, step_memory
from tessera.train.plan.packs import PackPlan
from tessera.train.plan.shape import stage_model
from tessera.train.plan.subject import chat
from tessera.train.plan.trial import Conditions
from tessera.train.recipe import Recipe, Stage
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer, OptimizerConfig
from tessera.train.update.rules import Rule, assign
from tessera.train.update.wrapping import wrap
from tests.train import tiny

CPU = torch.device("cpu")
LORA = (Rule(pattern=r"_proj\.", learning_rate=1e-3, lora=LoRAConfig(rank=4)), Rule(pattern="."))
FROZEN_VISION = (Rule(pattern=r"^vision\."), tiny.ALL)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Alive(TorchDispatchMode):
    """Bytes of real storages, and the most there were; `known` ones are there from the start."""

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()
        self._sizes: dict[int, int] = {}
        self.now = self.most = 0
        for tensor in known:
            self._add(tensor.untyped_storage())

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self._sizes:
            self._sizes[storage._cdata] = storage.nbytes()
            self.now += storage.nbytes()
            weakref.finalize(storage, self._gone, storage._cdata)
            self.most = max(self.most, self.now)

    def _gone(self, key: int) -> None:
        self.now -= self._sizes.pop(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._add(leaf.untyped_storage())
        return out


def stage_of(rules: tuple[Rule, ...], **changes: Any) -> Stage:
    return tiny.recipe().stages[0].model_copy(update={"rules": rules, "drop_path": None, **changes})


def taken(stage: Stage, precision: str, batches: int) -> tuple[int, PackPlan]:
    """What a real step takes at most, and its pack by lengths."""
    masters, model = Masters(precision), tiny.model()  # type: ignore[arg-type]
    for parameter in model.parameters():  # as a checkpoint stores them
        parameter.data = parameter.data.to(DTYPES[precision])
    wrap(model, stage.rules, 0, masters)
    masters.hold(model)
    set_recompute(model, stage.recompute)
    optimizer = Optimizer(assign(model, stage.rules), stage.optimizer, masters)
    samples = tiny.samples(6)
    pack = collate(samples)
    values = [value for _, value in masters.exact(model)]
    known = [*model.parameters(), *model.buffers(), *values, *optimizer.state_tensors().values(), pack.tiles]
    with Alive(known) as alive:
        Step(stage.objective, model.train(), CPU).update([pack] * batches, optimizer, 1.0)
    return alive.most, PackPlan(tuple(sample.lengths for sample in samples), "drawn")


@pytest.mark.parametrize(
    ("rules", "precision", "recompute", "batches", "optimizer"),
    [
        ((tiny.ALL,), "float32", "none", 1, OptimizerConfig()),
        ((tiny.ALL,), "bfloat16", "blocks", 2, OptimizerConfig()),
        ((tiny.ALL,), "bfloat16", "none", 1, OptimizerConfig(kind="muon", ema=0.9)),
        (LORA, "bfloat16", "selective", 1, OptimizerConfig()),
    ],
    ids=["full float32", "two batches, blocks", "muon with a mean", "LoRA, selective"],
)
def test_as_many_bytes_as_a_real_step_takes(
    rules: tuple[Rule, ...], precision: str, recompute: str, batches: int, optimizer: OptimizerConfig
) -> None:
    stage = stage_of(rules, recompute=recompute, optimizer=optimizer)
    real, pack = taken(stage, precision, batches)
    conditions = Conditions(CPU, DTYPES[precision], DTYPES[precision])
    model = stage_model(tiny.model().config, rules)
    given = [chat(tiny.model().config, pack).batch] * batches
    assert count(model, stage, given, conditions).total == pytest.approx(real, rel=0.05)


def deep_recipe(**changes: Any) -> Recipe:
    return tiny.recipe(stages=(stage_of((tiny.ALL,)),), precision="bfloat16", **changes)


@pytest.mark.parametrize(
    ("rules", "recompute", "kind"),
    [((tiny.ALL,), "none", "adamw"), (LORA, "blocks", "adamw"), (FROZEN_VISION, "selective", "muon")],
    ids=["all", "LoRA, blocks", "a frozen ViT, selective"],
)
def test_few_blocks_tell_of_all(
    rules: tuple[Rule, ...], recompute: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures of a deep model from one short trial, and counted block by block."""
    config = tiny.model().config
    deep = config.model_copy(
        update={
            "decoder": config.decoder.model_copy(update={"num_hidden_layers": 9}),
            "vision": config.vision.model_copy(update={"num_hidden_layers": 7}),  # type: ignore[attr-defined]
        }
    )
    pack = PackPlan((Lengths(300, 2, 60), Lengths(120, 0, 50)), "made up")
    conditions = Conditions(CPU, torch.bfloat16, torch.bfloat16)
    stage = stage_of(rules, recompute=recompute, optimizer=OptimizerConfig(kind=kind))  # type: ignore[arg-type]
    recipe = tiny.recipe(stages=(stage,), precision="bfloat16")
    short = step_memory(recipe, 0, chat(deep, pack), conditions)
    monkeypatch.setattr("tessera.train.plan.memory.is_uniform", lambda *_: False)
    whole = step_memory(recipe, 0, chat(deep, pack), conditions)
    for moment, held in short.moments.items():
        assert held.total() == pytest.approx(whole.moments[moment].total(), rel=0.01), moment
    assert short.parts == pytest.approx(whole.parts, rel=0.01) and short.fullest == whole.fullest


def test_shards_hold_a_part_each() -> None:
    config, pack = tiny.model().config, PackPlan((Lengths(300, 2, 60),), "made up")
    conditions = Conditions(torch.device("meta"), torch.bfloat16, torch.bfloat16)
    alone = step_memory(deep_recipe(), 0, chat(config, pack), conditions)
    shared = step_memory(deep_recipe(parallel=Parallel(shard=4)), 0, chat(config, pack), conditions, world=4)
    assert shared.parts["optimizer"] == pytest.approx(alone.parts["optimizer"] / 4, rel=0.01)
    assert GATHERED in shared.parts or shared.fullest == ("update",)


def test_offloaded_memory_lies_with_the_host() -> None:
    config, pack = tiny.model().config, PackPlan((Lengths(300, 2, 60),), "made up")
    stage = stage_of((tiny.ALL,), optimizer=OptimizerConfig(offload=True))
    conditions = Conditions(torch.device("meta"), torch.bfloat16, torch.bfloat16)
    found = step_memory(tiny.recipe(stages=(stage,), precision="bfloat16"), 0, chat(config, pack), conditions)
    plain = step_memory(deep_recipe(), 0, chat(config, pack), conditions)
    trained = sum(parameter.numel() for parameter in tiny.model().parameters())
    assert found.host >= 12 * trained and plain.host < trained
    assert found.moments[("update",)]["optimizer"] < plain.moments[("update",)]["optimizer"]


def test_nothing_of_the_trial_stays() -> None:
    """Random state, and masks that attention keeps: a run behind a plan is the run without."""
    config, pack = tiny.model().config, PackPlan((Lengths(90, 1, 30),), "made up")
    before = torch.get_rng_state()
    step_memory(deep_recipe(), 0, chat(config, pack), Conditions(CPU, torch.bfloat16, torch.bfloat16))
    assert torch.equal(before, torch.get_rng_state())
    real, _ = taken(stage_of((tiny.ALL,)), "bfloat16", 1)
    assert real > 0
