"""The preference objective on packs against the formulas, computed from one answer at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.packing.pack import Pack
from tessera.train.loop import Trainer
from tessera.train.objective.answers import answer_logprobs
from tessera.train.objective.contract import Beginning
from tessera.train.objective.preference import METHODS, PreferenceObjective, RunningPreference
from tessera.train.objective.preferences.losses import preference_loss, quality_loss
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.recipe import Start
from tessera.train.setup import Setup, set_up
from tests.train.pair_data import HERE, LORA, ZERO, preference_recipe, write_pairs


def begun(setup: Setup) -> Any:
    """The objective of the only stage, as it begins."""
    stage = setup.recipe.stages[0]
    assert isinstance(stage.objective, PreferenceObjective)
    return stage.objective.begin(Beginning(stage, setup.learner, setup.sources[0], ProcessMesh(), HERE))


def packs_of(setup: Setup, count: int) -> list[Pack]:
    loader = setup.loader(0)
    found = [next(loader) for _ in range(count)]
    loader.close()
    return found


def alone(model: VLM, pack: Pack) -> list[tuple[float, int]]:
    """Log-probability and tokens of every answer, each behind a prompt of its own, token by token."""
    found = []
    tiles = pack.tiles.split(pack.tiles_per_sample) if len(pack.tiles) else [pack.tiles] * len(pack.lengths)
    for ids, weights, own, answers in zip(
        pack.ids.split(pack.lengths), pack.weights.split(pack.lengths), tiles, pack.branches, strict=True
    ):
        prompt = len(ids) - sum(answers)
        start = prompt
        for length in answers:
            whole = torch.cat([ids[:prompt], ids[start : start + length]])
            wanted = torch.cat([weights[:prompt], weights[start : start + length]]).nonzero()[:, 0].tolist()
            hidden = model(whole, Packed((len(whole),)), tiles=own if len(own) else None)
            logs = model.logits(hidden).double().log_softmax(-1)
            found.append((sum(logs[t - 1, whole[t]] for t in wanted), len(wanted)))
            start += length
    return found


def oracle(objective: PreferenceObjective, policy: Any, first: Any, mean: list[float]) -> Any:
    """Sum of the losses of some pairs; `mean` has all means of a pair's rewards so far."""
    beta = objective.beta
    rows = []
    for pair in range(0, len(policy), 2):
        values = [
            (p - q) / (n if objective.length_normalised else 1)
            for (p, n), (q, _) in zip(policy[pair : pair + 2], first[pair : pair + 2], strict=True)
        ]
        rows.append(values)
        mean.append(float((beta * (values[0] + values[1])).detach()) / 2)
    delta, total = sum(mean) / len(mean), 0.0
    for number, (chosen, rejected) in enumerate(rows):
        difference = beta * (chosen - rejected) - objective.margin
        compared = {
            "sigmoid": -(1 - objective.label_smoothing) * F.logsigmoid(difference)
            - objective.label_smoothing * F.logsigmoid(-difference),
            "hinge": torch.clamp(1 - difference, min=0),
            "ipo": (chosen - rejected - objective.margin / beta - 1 / (2 * beta)) ** 2,
        }[objective.compare]
        judged = -F.logsigmoid(beta * chosen - delta) - F.logsigmoid(-(beta * rejected - delta))
        said, length = policy[2 * number]
        total = total + objective.preference * compared + objective.quality * judged
        total = total - objective.generation * said / length
    return total


VARIANTS = [
    *({**METHODS[name]} for name in METHODS),
    {"label_smoothing": 0.2},
    {"margin": 0.5, "length_normalised": True, "beta": 1.5},
    {"preference": 0.3, "quality": 0.6, "generation": 0.0, "compare": "hinge"},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_losses_and_gradients_are_the_formulas(changes: dict[str, Any], tmp_path: Path) -> None:
    """Packs of several pairs that share prompts and pictures, against one answer at a time."""
    objective = PreferenceObjective(**changes)
    setup = set_up(preference_recipe(write_pairs(tmp_path / "data", 8), objective))
    running, model = begun(setup), setup.learner.model
    packs, mean = packs_of(setup, 2), list[float]()
    assert any(len(pack.lengths) > 1 for pack in packs) and all(len(pack.tiles) for pack in packs)
    with torch.no_grad():
        first = [alone(model, pack) for pack in packs]
        torch.manual_seed(1)
        for parameter in model.parameters():  # a policy that has left its reference
            parameter += 0.03 * torch.randn_like(parameter)
    model.eval()
    for pack, was in zip(packs, first, strict=True):
        if objective.reference == "none":
            was = [(torch.zeros(()), n) for _, n in was]
        model.zero_grad()
        wanted = oracle(objective, alone(model, pack), was, mean)
        wanted.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        model.zero_grad()
        for module in model.modules():
            module.training = module is model  # in training, but nothing is dropped
        found = running.loss_sum(model, pack, HERE)
        found.backward()
        torch.testing.assert_close(found.detach().double(), wanted.detach(), atol=1e-6, rtol=1e-6)
        for name, p in model.named_parameters():
            torch.testing.assert_close(p.grad, gradients.get(name), atol=2e-5, rtol=1e-4)
    assert math.isclose(float(running.mean_reward), sum(mean) / len(mean), rel_tol=1e-6, abs_tol=1e-7)


def test_each_kind_of_loss_by_hand() -> None:
    chosen, rejected = torch.tensor([2.0, -1.0]).double(), torch.tensor([1.0, 3.0]).double()
    found = preference_loss("sigmoid", chosen, rejected, 0.5)
    assert found.tolist() == pytest.approx([math.log(1 + math.exp(-0.5)), math.log(1 + math.exp(2.0))])
    assert preference_loss("hinge", chosen, rejected, 0.5).tolist() == [0.5, 3.0]
    assert preference_loss("hinge", chosen, rejected, 0.5, margin=0.25).tolist() == [0.75, 3.25]
    assert preference_loss("ipo", chosen, rejected, 0.5).tolist() == [0.0, 25.0]
    smooth = preference_loss("sigmoid", chosen, rejected, 0.5, label_smoothing=0.25)
    assert smooth.tolist() == pytest.approx(
        [
            0.75 * math.log(1 + math.exp(-0.5)) + 0.25 * math.log(1 + math.exp(0.5)),
            0.75 * math.log(1 + math.exp(2.0)) + 0.25 * math.log(1 + math.exp(-2.0)),
        ]
    )
    judged = quality_loss(chosen, rejected, 0.5, 0.25)
    assert judged.tolist() == pytest.approx(
        [
            math.log(1 + math.exp(-0.75)) + math.log(1 + math.exp(0.25)),
            math.log(1 + math.exp(0.75)) + math.log(1 + math.exp(1.25)),
        ]
    )


def test_the_running_mean_takes_in_a_batch_before_it_is_used(tmp_path: Path) -> None:
    setup = set_up(preference_recipe(write_pairs(tmp_path / "data", 6)))
    running, model, (pack,) = begun(setup), setup.learner.model, packs_of(setup, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05
    assert running.mean_reward == 0
    model.eval()
    running.loss_sum(model, pack, HERE)
    assert running.mean_reward == 0, "held-out pairs leave it"
    model.train()
    torch.manual_seed(0)
    running.loss_sum(model, pack, HERE)
    once = float(running.mean_reward)
    assert once != 0
    state = running.state_dict()
    assert state["pairs"] == len(pack.lengths) and state["rewards"] / state["pairs"] == pytest.approx(once)
    other = begun(setup)
    other.load_state_dict(state)
    assert other.state_dict() == state


@pytest.mark.parametrize("kind", ["cached", "copy", "base", "auto"])
def test_references_agree(kind: str, tmp_path: Path) -> None:
    meta = write_pairs(tmp_path / "data", 7)
    objective = PreferenceObjective(reference=kind)  # type: ignore[arg-type]
    recipe = preference_recipe(
        meta, objective, rules=LORA if kind == "base" else preference_recipe(meta).stages[0].rules
    )
    trainer = Trainer(set_up(recipe), tmp_path / "run")
    with trainer._begin(0, None):
        running = trainer.stepping.objective(0)
        assert isinstance(running, RunningPreference)
        model = trainer.model
        (pack,) = packs_of(trainer.setup, 1)
        with torch.no_grad():
            model.eval()
            start = answer_logprobs(model, pack, HERE).sums  # type: ignore[arg-type]
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter += 0.1
            model.train()
        found = running._reference(model, pack, HERE)  # type: ignore[arg-type]
        assert model.training
        torch.testing.assert_close(found, start, atol=1e-5, rtol=1e-6)


def test_a_table_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = write_pairs(tmp_path / "data", 7)
    seen = []
    for objective in (
        PreferenceObjective(reference="cached"),
        PreferenceObjective(reference="cached", beta=0.5),
    ):
        running = begun(set_up(preference_recipe(meta, objective)))
        seen.append(running._reference.computed)
    assert seen == [7, 0], "another method finds the table of the first"
    other = set_up(preference_recipe(meta, objective, seed=3))
    assert begun(other)._reference.computed == 7, "other weights"


def test_runs_learn_and_tell_of_their_pairs(tmp_path: Path) -> None:
    meta = write_pairs(tmp_path / "data", 12)
    recipe = preference_recipe(meta, steps=14, accumulate=2, validation=(str(meta),), validate_every=7)
    reports = list(Trainer(set_up(recipe), tmp_path / "run").run())
    first, last = reports[0].figures, reports[-1].figures
    assert first["preference_loss"] == pytest.approx(math.log(2), abs=0.05) and abs(first["kl"]) < 0.01
    assert last["margin"] > first["margin"] + 0.05 and last["accuracy"] == 1
    assert last["reward_chosen"] > last["reward_rejected"] and -1 <= last["length_pull"] <= 1
    assert (
        reports[-1].validation_loss is not None and reports[-1].validation_loss < reports[6].validation_loss
    )


@pytest.mark.parametrize("kind", ["cached", "copy"])
def test_held_out_pairs_have_a_reference_of_their_own(kind: str, tmp_path: Path) -> None:
    """Of a source with the same name, as a share that is kept from training has."""
    meta, other = write_pairs(tmp_path / "data", 5), write_pairs(tmp_path / "other", 9, seed=4)
    objective = PreferenceObjective(reference=kind, generation=0.0, quality=0.0)  # type: ignore[arg-type]
    recipe = preference_recipe(
        meta, objective, steps=1, validation=(str(other),), schedule={"warmup": 0}, rules=ZERO
    )
    (report,) = Trainer(set_up(recipe), tmp_path / "run").run()
    assert report.validation_loss == pytest.approx(0.8 * math.log(2), abs=1e-5), "nothing has moved"


def test_a_run_goes_on_with_its_running_mean(tmp_path: Path) -> None:
    meta = write_pairs(tmp_path / "data", 12)
    recipe = preference_recipe(meta, PreferenceObjective(quality=1.0), steps=6, drop_path=0.3)
    whole = Trainer(set_up(recipe), tmp_path / "whole")
    reports = list(whole.run())
    part = Trainer(set_up(recipe), tmp_path / "part")
    for report in part.run():
        if report.step == 3:
            break
    resumed = Trainer(set_up(recipe), tmp_path / "part")
    assert resumed.resumed_at == (0, 2)
    again = list(resumed.run())
    assert [r.loss for r in again] == [r.loss for r in reports[2:]]
    assert again[-1].figures == reports[-1].figures
    for (name, a), (_, b) in zip(
        whole.model.named_parameters(), resumed.model.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preference": 0, "quality": 0, "generation": 0}, "are all 0: nothing is learned"),
        ({"compare": "ipo", "label_smoothing": 0.1}, "label_smoothing = 0.1: ipo has none; leave it 0"),
        ({"beta": 0}, "beta"),
        ({"label_smoothing": 0.5}, "label_smoothing"),
        ({"compare": "kto"}, "'sigmoid', 'hinge' or 'ipo'"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreferenceObjective(**changes)


def test_references_that_cannot_be(tmp_path: Path) -> None:
    meta = write_pairs(tmp_path / "data", 3, data_augment=True)
    for kind, message in (
        ("cached", "pairs augments its pictures; take copy, base with LoRA alone, or auto"),
        ("base", "is trained itself; take copy, or cached for pairs"),
    ):
        setup = set_up(preference_recipe(meta, PreferenceObjective(reference=kind)))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=message):
            begun(setup)
    copied = begun(set_up(preference_recipe(meta)))
    assert type(copied._reference.reference).__name__ == "_Copy"


def test_a_preference_stage_comes_first(tmp_path: Path) -> None:
    recipe = preference_recipe(write_pairs(tmp_path / "data", 3))
    two = recipe.model_copy(
        update={"stages": (recipe.stages[0], recipe.stages[0].model_copy(update={"name": "again"}))}
    )
    with pytest.raises(ValueError, match="'again' .preference. compares with the model that it starts from"):
        set_up(two)
    assert Start().checkpoint is None
