"""Training with visual experts: what each stage may change, where experts come from, factors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.families.catalogue import fresh
from tessera.models.routing import visual_twin
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.nn.lora import LoRAConfig
from tessera.packing.pack import collate
from tessera.recipes.internvl.build import rules_of
from tessera.recipes.internvl.stage import PublishedStage
from tessera.recipes.mono.delta_tuning import stages
from tessera.train.compiled import set_compiled
from tessera.train.loop import Trainer
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.learner import ChatLearner, Start
from tessera.train.parallel.heads import require_shares
from tessera.train.recipe import Recipe
from tessera.train.setup import set_up
from tessera.train.step import Step
from tessera.train.update.rules import Rule, assign
from tests.checkpoints import base_folders
from tests.train import mono, tiny

EYES = r"vision\.|connector\.|decoder\.layers\.\d+\.mlp_visual\."
LISTED = {"s1_1": EYES, "s1_2": EYES, "s1_3": rf"{EYES}|decoder\.layers\.\d+\.self_attn\.", "sft": "."}


def gradients(model: VLM, samples: slice = slice(None)) -> set[str]:
    """Names of the weights that a step gives a gradient."""
    pack = collate(tiny.samples(3)[samples])
    Step(ConversationObjective(), model, tiny.CPU).gradients([pack])
    return {name for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("stage", stages(), ids=lambda stage: stage.name)
def test_gradients_reach_what_a_stage_lists_and_nothing_else(stage: PublishedStage) -> None:
    model = mono.model()
    assign(model, rules_of(stage))
    listed = {name for name, _ in model.named_parameters() if re.match(LISTED[stage.name], name)}
    assert gradients(model) == listed
    model.zero_grad(set_to_none=True)
    unseen = listed - gradients(model, slice(1, 2))  # a pack of text: no pixel, but experts take part
    assert {name.partition(".")[0] for name in unseen} <= {"vision", "connector"}


def recipe(start: Start, *rules: tuple[Rule, ...]) -> Recipe:
    stage = tiny.recipe().stages[0].model_copy(update={"steps": 2})
    made = [stage.model_copy(update={"name": f"s{n}", "rules": given}) for n, given in enumerate(rules)]
    return tiny.recipe(stages=tuple(made), start=start)


@torch.inference_mode()
def logits(model: VLM, ids: torch.Tensor, tiles: torch.Tensor | None = None) -> torch.Tensor:
    return model.eval().logits(model(ids, Packed((len(ids),)), tiles=tiles))


@pytest.mark.parametrize("family", ["nano_mono", "nano_mono_attention"])
def test_delta_tuning_of_a_language_model_leaves_its_language_alone(family: str, tmp_path: Path) -> None:
    """From InternLM2: experts begin as what text meets, learn, and text is answered as before."""
    theirs = base_folders.language_model(tmp_path / "base", "internlm2")
    start = Start(family=family, decoder=str(tmp_path / "base"))
    begun = ChatLearner.start(start, 0)
    assert begun.family.architecture == "mono"
    weights = begun.model.state_dict()
    twins = {name: visual_twin(name) for name in weights if visual_twin(name) in weights}
    changed = {name: twin for name, twin in twins.items() if name != twin}
    assert len(changed) == 2 * (7 if "attention" in family else 3)
    assert all(torch.equal(weights[name], weights[twin]) for name, twin in changed.items())
    ids = torch.tensor(begun.tokenizer.encode_plain("how many circles are there"))
    with torch.no_grad():
        expected = theirs(ids[None]).logits[0]
    known = base_folders.plain_tokenizer().vocab_size
    before = logits(begun.model, ids)
    torch.testing.assert_close(before[:, :known], expected[:, :known], atol=1e-5, rtol=1e-4)
    trainer = Trainer(set_up(recipe(start, rules_of(stages()[0]))), tmp_path / "run")
    assert all(report.gradient_norm > 0 for report in trainer.run())
    again = load_checkpoint(trainer.stage_folder(0))
    torch.testing.assert_close(logits(again.model, ids), before, rtol=0, atol=0)
    # The last block's have no token: what they make of a picture nobody reads.
    after, first = again.model.state_dict(), {n: t for n, t in changed.items() if ".layers.0." in n}
    assert not any(torch.equal(after[name], after[twin]) for name, twin in first.items())


def test_parts_of_other_models_fit_or_say_why(tmp_path: Path) -> None:
    """A patch embedding comes from any ViT; a ViT does not come from a patch embedding."""
    learner = ChatLearner.start(Start(family="nano_mono", vision="shipped", decoder="shipped"), 0)
    stored = load_checkpoint(save_checkpoint(tmp_path, learner.model, learner.family, learner.tokenizer))
    shipped = ChatLearner.start(Start(vision="shipped"), 0).model.vision.embeddings.patch_embedding  # type: ignore[union-attr]
    assert torch.equal(stored.model.vision.embeddings.patch_embedding.weight, shipped.weight)  # type: ignore[union-attr, arg-type]
    with pytest.raises(ValueError, match="no InternViT"):
        ChatLearner.start(Start(vision=str(tmp_path), decoder="shipped"), 0)
    again = ChatLearner.start(Start(family="nano_mono", decoder=str(tmp_path)), 0)
    for name, value in again.model.decoder.named_parameters():
        assert torch.equal(value, dict(learner.model.decoder.named_parameters())[name]), name


@pytest.mark.parametrize(
    ("name", "layout"),
    [("nano_mono", "official"), ("nano_mono", "tessera"), ("nano_mono_attention", "tessera")],
)
def test_factors_beside_experts_are_an_adapter(name: str, layout: LayoutName, tmp_path: Path) -> None:
    """Apart and merged it gives what the run gave."""
    family, model = fresh(name, tiny.tokenizer()), mono.model(name=name)
    base = save_checkpoint(tmp_path / "base", model, family, tiny.tokenizer(), layout)
    blocks = Rule(pattern=r"^decoder\.layers\..+_proj\.", learning_rate=1e-2, lora=LoRAConfig(rank=2))
    given = recipe(Start(checkpoint=str(base)), (blocks, Rule(pattern=".")))
    trainer = Trainer(set_up(given), tmp_path / "run")
    assert all(report.gradient_norm > 0 for report in trainer.run())
    sample = tiny.samples(1)[0]
    shown = torch.from_numpy(sample.ids).long(), torch.from_numpy(sample.tiles)
    assert isinstance(trainer.model, VLM)
    wanted = logits(trainer.model, *shown)
    folder, adapter = find_with_adapter(trainer.stage_folder(0))
    for apart in (True, False):
        opened = load_checkpoint(folder, adapter=adapter, apart=apart).model
        torch.testing.assert_close(logits(opened, *shown), wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(logits(load_checkpoint(base).model, *shown), wanted, atol=1e-3)


def test_what_has_no_published_form_is_refused(tmp_path: Path) -> None:
    family, model = fresh("nano_mono_attention", tiny.tokenizer()), mono.model(name="nano_mono_attention")
    with pytest.raises(ValueError, match="visual_attention: no published files have names for it"):
        save_checkpoint(tmp_path / "x", model, family, tiny.tokenizer(), "official")
    with pytest.raises(ValueError, match=r"parallel\.tensor = 2: visual_attention is not shared out"):
        require_shares("tensor", 2, family.model.decoder)


def test_compiled_blocks_give_the_same_gradients() -> None:
    found = []
    for how in ("none", "aot_eager"):
        model = mono.model()
        set_compiled(model, how)  # type: ignore[arg-type]
        gradients(model)
        grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
        found.append(torch.cat([grad.flatten() for grad in grads]))
    torch.testing.assert_close(found[1], found[0], atol=1e-6, rtol=1e-4)
