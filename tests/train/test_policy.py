"""On-policy training against its formulas, with responses that are given and with those of the engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tessera.align.critics.critic import Judged
from tessera.align.on_policy import PolicyResponder
from tessera.engine.completion import Completion
from tessera.nn.attention.layout import Packed
from tessera.packing.config import Limits, PackingConfig
from tessera.train.loop import Trainer
from tessera.train.objective.answers import answer_logprobs
from tessera.train.objective.contract import Beginning
from tessera.train.objective.policies.rollouts import (
    PolicyPrompt,
    PolicyResponse,
    advantages,
    group_samples,
    in_packs,
)
from tessera.train.objective.policy import PolicyObjective
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.ranks import Ranks
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start
from tessera.train.setup import Setup, set_up
from tessera.train.update.rules import Rule
from tests.train.pair_data import HERE, LORA
from tests.train.tiny import ALL

COUNT = 5
FAST = Rule(pattern=".", learning_rate=3e-3)


def write_questions(folder: Path) -> Path:
    """Questions without pictures, each with the same answer."""
    folder.mkdir(parents=True)
    lines = [
        {"conversations": [{"from": "human", "value": f"Say {n}."}, {"from": "gpt", "value": "red"}]}
        for n in ("one", "two", "three", "four", "five")
    ]
    (folder / "asked.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    meta = folder / "meta.json"
    entry = {
        "root": str(folder),
        "annotation": str(folder / "asked.jsonl"),
        "length": COUNT,
        "repeat_time": 1,
    }
    meta.write_text(json.dumps({"asked": entry}))
    return meta


def policy_recipe(meta: Path, objective: PolicyObjective, **changes: Any) -> Recipe:
    stage: dict[str, Any] = {
        "name": "policy",
        "steps": 3,
        "rules": (ALL,),
        "sources": (ManifestSpec(meta=str(meta)),),
        "packing": PackingConfig(max_tokens=256, max_tiles=8),
        "objective": objective,
    }
    fields = {
        name: changes.pop(name) for name in list(changes) if name in Stage.model_fields and name != "name"
    }
    settings = {"name": "own", "start": Start(family="nano_model"), "precision": "float32", "device": "cpu"}
    return Recipe(stages=(Stage(**stage | fields),), **settings | {"save_every": 2} | changes)


def drawn(asked: list[PolicyPrompt], model: Any) -> list[list[PolicyResponse]]:
    """Responses of 1 to 6 tokens that follow from their seeds; worth whether the first is even."""
    groups = []
    for each in asked:
        group = []
        for seed in each.seeds:
            rng = np.random.default_rng(seed % 2**32)
            ids = tuple(int(x) for x in rng.integers(5, 400, rng.integers(1, 7)))
            group.append(PolicyResponse(ids, float(ids[0] % 2 == 0), len(ids) < 6))
        groups.append(group)
    return groups


def begun(setup: Setup) -> Any:
    stage = setup.recipe.stages[0]
    assert isinstance(stage.objective, PolicyObjective)
    return stage.objective.begin(Beginning(stage, setup.learner, setup.sources[0], ProcessMesh(), HERE))


@pytest.mark.parametrize("averaging", ["response", "token", "constant"])
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_losses_and_gradients_are_the_formulas(averaging: Any, beta: float, tmp_path: Path) -> None:
    """Each response behind a prompt of its own, by the published sum over its tokens."""
    objective = PolicyObjective(
        prompts=3, group=4, averaging=averaging, beta=beta, max_new_tokens=6, scaled=averaging == "response"
    )
    setup = set_up(policy_recipe(write_questions(tmp_path / "data"), objective))
    running, model = begun(setup), setup.learner.model.eval()
    loader = setup.loader(0)
    loader.respond = drawn  # type: ignore[attr-defined]
    batches = loader.next_step()
    assert len(batches) == 1 and len(batches[0].advantages) == 12
    (batch,) = batches
    with torch.no_grad():
        first = answer_logprobs(model, batch, HERE).logprobs
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    total, place, number = torch.zeros(()), 0, 0
    for ids, answers in zip(batch.ids.split(batch.lengths), batch.branches, strict=True):
        start = prompt = len(ids) - sum(answers)
        for length in answers:
            whole = torch.cat([ids[:prompt], ids[start : start + length]])
            logs = model.logits(model(whole, Packed((len(whole),)))).log_softmax(-1)
            own = torch.stack([logs[t - 1, whole[t]] for t in range(prompt, len(whole))])
            gap = first[place : place + length] - own
            parts = -batch.advantages[number] * (own - own.detach()).exp() + beta * (gap.exp() - gap - 1)
            total = total + (parts.mean() if averaging == "response" else parts.sum())
            place, number, start = place + length, number + 1, start + length
    model.zero_grad()
    total.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    found = running.loss_sum(model, batch, HERE)
    found.backward()
    torch.testing.assert_close(found, total, atol=1e-5, rtol=1e-5)
    for name, gradient in wanted.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, atol=3e-5, rtol=1e-4)
    divisors = {"response": 12, "token": sum(map(sum, batch.branches)), "constant": 72}
    assert running.weight(batch) == divisors[averaging]
    again = sum(running.loss_sum(model, part, HERE) for part in running.alone(batch))
    torch.testing.assert_close(again, found), "advantages are not lost on the way to a replay"


@pytest.mark.parametrize(
    ("rewards", "scaled", "wanted"),
    [
        ([1, 0, 0, 0], False, [0.75, -0.25, -0.25, -0.25]),
        ([1, 0, 0, 0], True, [0.75 / 0.5001, -0.25 / 0.5001, -0.25 / 0.5001, -0.25 / 0.5001]),
        ([1, 1], True, [0, 0]),
        ([0.5], True, [0]),
        ([2, 0], True, [1 / (2**0.5 + 1e-4), -1 / (2**0.5 + 1e-4)]),
    ],
)
def test_advantages_by_hand(rewards: list[float], scaled: bool, wanted: list[float]) -> None:
    assert advantages(rewards, scaled) == pytest.approx(wanted)


def test_a_group_that_does_not_fit_shares_its_prompt_as_far_as_it_goes(tmp_path: Path) -> None:
    setup = set_up(policy_recipe(write_questions(tmp_path / "data"), PolicyObjective(prompts=1)))
    encoder = setup.learner.encoder
    talk = setup.sources[0][0].source.conversation(0)
    prompt = encoder.encode(type(talk)(talk.messages[:1]), generate=True)
    asked, size = PolicyPrompt("asked:0", talk, prompt, "red", (0, 1, 2)), len(prompt.ids)
    said = [PolicyResponse((7,) * 10, float(n)) for n in range(3)]
    limits = Limits(max_tokens=size + 25)
    samples = list(group_samples(asked, said, False, limits))
    assert [sample.branches for sample, _ in samples] == [(10, 10), (10,)]
    packs = list(in_packs(samples, limits))
    assert [pack.advantages.tolist() for pack in packs] == [[-1, 0], [1]], "of the whole group"
    with pytest.raises(ValueError, match=r"asked:0: \d+ tokens of the prompt and 10 of a response are more"):
        list(group_samples(asked, said, False, Limits(max_tokens=size + 9)))


def test_a_run_resumes_exactly_and_tells_of_its_responses(tmp_path: Path) -> None:
    meta = write_questions(tmp_path / "data")
    recipe = policy_recipe(meta, PolicyObjective(prompts=2, group=3, prompt_version="en"), steps=4)
    whole = list(Trainer(set_up(recipe), tmp_path / "whole", respond=drawn).run())
    figures = whole[0].figures
    assert set(figures) == {"reward", "right", "length", "whole", "kl", "informed"}
    assert 0 <= figures["right"] <= 1 and 1 <= figures["length"] <= 6 and abs(figures["kl"]) < 1e-6
    for report in Trainer(set_up(recipe), tmp_path / "part", respond=drawn).run():
        if report.step == 2:
            break
    resumed = Trainer(set_up(recipe), tmp_path / "part", respond=drawn)
    assert resumed.resumed_at == (0, 2)
    again = list(resumed.run())
    assert [r.loss for r in again] == [r.loss for r in whole[2:]]
    assert again[-1].figures == whole[-1].figures
    with pytest.raises(ValueError, match="needs somebody who responds; pass respond="):
        list(Trainer(set_up(recipe), tmp_path / "none").run())


@pytest.mark.parametrize("rules", [(FAST,), LORA], ids=["full", "LoRA"])
def test_the_engine_responds_and_rewards_rise(rules: Any, tmp_path: Path) -> None:
    """A critic that likes the letter e makes the model write it more often."""

    class LikesE:
        def score(self, conversation: Any, responses: Any) -> Any:
            return [Judged(text.count("e") / (1 + len(text))) for text in responses]

    objective = PolicyObjective(prompts=4, group=16, max_new_tokens=8, prompt_version="en", beta=0.0)
    recipe = policy_recipe(write_questions(tmp_path / "data"), objective, steps=15, rules=rules)
    setup = set_up(recipe)
    responder = PolicyResponder(setup.learner, objective, LikesE())  # type: ignore[arg-type]
    reports = list(Trainer(setup, tmp_path / "run", respond=responder).run())
    first, last = (np.mean([r.figures["reward"] for r in part]) for part in (reports[:3], reports[-3:]))
    assert last > first + 0.01


@pytest.mark.parametrize(
    ("text", "target", "reward"),
    [
        ("2 and 3.\n\nFinal answer: 5", "5", 1.0),
        ("2 and 3.\n\nFinal answer: 5", "2 + 3 = 5.\n\nFinal answer: 5", 1.0),
        ("2 and 3.\n\nFinal answer: 6", "5", 0.1),
        ("Final answer: 5", "5", 0.0),
        ("", "5", 0.0),
    ],
)
def test_what_a_response_is_worth(text: str, target: str, reward: float, tmp_path: Path) -> None:
    objective = PolicyObjective(prompt_version="en", format_reward=0.1)
    setup = set_up(policy_recipe(write_questions(tmp_path / "data"), objective))
    talk = setup.sources[0][0].source.conversation(0)
    prompt = setup.learner.encoder.encode(type(talk)(talk.messages[:1]), generate=True)
    asked = PolicyPrompt("asked:0", talk, prompt, target, (0,))
    (found,) = PolicyResponder(setup.learner, objective)._valued(asked, [Completion(text, (9,), "stop", 3)])
    assert (found.reward, found.ids, found.whole) == (reward, (9, *setup.learner.encoder.stop_ids), True)


def test_several_processes_are_refused(tmp_path: Path) -> None:
    setup = set_up(policy_recipe(write_questions(tmp_path / "data"), PolicyObjective()))
    with pytest.raises(ValueError, match="responses are drawn by one process, here are 2"):
        setup.loader(0, Ranks(0, 2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt_version": "en_v9"}, "prompt_version 'en_v9' is unknown; give one of en, "),
        ({"modes": ("guess",)}, "mode 'guess' is unknown; give some of vqa, "),
        ({"group": 1}, "group"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_asked(changes: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PolicyObjective(**changes)
