"""Steps that are no number: they stop a run or are skipped and counted, and can be computed again."""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path

import pytest
import torch

from tessera.cli.main import main
from tessera.packing.pack import Pack, collate, split_pack
from tessera.train.loop import Trainer
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.recipe import Recipe
from tessera.train.setup import set_up
from tessera.train.state import replays
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer, OptimizerConfig
from tessera.train.update.rules import assign
from tessera.train.watch.journal import read_reports
from tessera.train.watch.telemetry import StepReport
from tests.train import tiny

META = torch.device("meta")


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_step_reads_nothing_from_the_device(kind: str) -> None:
    """On a device without values every reading is an error: two batches, masters, clipping, update."""
    model = tiny.model().to(META)
    masters = Masters("bfloat16")
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    config = OptimizerConfig(kind=kind, ema=0.9)
    optimizer = Optimizer(assign(model, (tiny.ALL,)), config, masters)
    samples = tiny.samples(4)
    batches = [collate(samples[:2]), collate(samples[2:])]
    result = Step(ConversationObjective(), model, META).update(batches, optimizer, 0.5)
    with pytest.raises(RuntimeError, match="meta"):
        float(result.loss)


def _recipe(**changes: object) -> Recipe:
    """Six steps of the connector alone."""
    stage = tiny.recipe().stages[0].model_copy(update={"steps": 6})
    return tiny.recipe(stages=(stage,), **{"save_every": 2} | changes)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Keys of samples whose loss is no number from now on."""
    keys: set[str] = set()
    plain = ConversationObjective.loss_sum

    def loss_sum(
        self: ConversationObjective, model: object, batch: Pack, device: torch.device
    ) -> torch.Tensor:
        found = plain(self, model, batch, device)
        return found * math.nan if keys & set(batch.keys) else found

    monkeypatch.setattr(ConversationObjective, "loss_sum", loss_sum)
    return keys


def _keys_of(step: int, of: int = 0) -> list[str]:
    """Samples of a step of the undisturbed run."""
    loader = set_up(_recipe()).loader(of)
    batches = [loader.next_step() for _ in range(step + 1)][-1]
    loader.close()
    return [key for batch in batches for key in batch.keys]


def _facts(report: StepReport) -> tuple[object, ...]:
    return tuple(repr(value) for name, value in vars(report).items() if name not in ("seconds", "wait"))


@pytest.mark.parametrize("log_every", [1, 4])
def test_stop_names_the_step_and_keeps_its_samples(log_every: int, broken: set[str], tmp_path: Path) -> None:
    """Also when it is looked at three steps later: reports and states end before it."""
    keys = _keys_of(1)
    broken.add(keys[0])
    trainer = Trainer(set_up(_recipe(log_every=log_every)), tmp_path)
    with pytest.raises(
        FloatingPointError, match=r"'warm_up', step 1: the loss is nan.*--replay .*step000001"
    ):
        list(trainer.run())
    assert [report.step for report in read_reports(tmp_path)] == [0]
    assert [path.name for path in (tmp_path / "state").glob("stage*")] == ["stage0-step000000"]
    kept = replays.read_step(tmp_path / "replay" / "stage0-step000001", [Pack])
    assert [key for batch in kept.batches for key in batch.keys] == keys and math.isnan(kept.loss)


@pytest.mark.parametrize("log_every", [1, 4])
def test_skipped_steps_learn_nothing_and_are_counted(
    log_every: int, broken: set[str], tmp_path: Path
) -> None:
    """A run that is stopped and goes on counts on; readings far apart change no loss."""
    recipe = _recipe(on_nonfinite="skip", log_every=log_every)
    broken.update((_keys_of(1)[0], _keys_of(4)[-1]))
    whole, half = tmp_path / "whole", tmp_path / "half"
    reports = list(Trainer(set_up(recipe), whole).run())
    assert [r.step for r in reports if r.skipped] == [1, 4] and math.isnan(reports[1].loss)
    run = Trainer(set_up(recipe), half).run()
    assert len(list(islice(run, 4))) == 4
    run.close()
    again = Trainer(set_up(recipe), half)
    assert again.resumed_at in ((0, 2), (0, 4))
    list(again.run())
    assert list(map(_facts, read_reports(half))) == list(map(_facts, reports))
    every = Trainer(set_up(recipe.model_copy(update={"log_every": 1})), tmp_path / "every")
    assert list(map(_facts, every.run())) == list(map(_facts, reports))
    few = Trainer(set_up(recipe.model_copy(update={"most_skipped": 1})), tmp_path / "few")
    with pytest.raises(FloatingPointError, match=r"step 4: .*such steps of the stage: 2, most_skipped: 1"):
        list(few.run())


def test_kept_steps_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MOST_KEPT", 2)
    report = StepReport("s", 0, 0, 9, *(0.0,) * 4, *(1,) * 4, *(0.0,) * 4)
    batch = collate(tiny.samples(2))
    for step in range(4):
        kept = replays.keep_step(
            tmp_path, 0, StepReport(**vars(report) | {"step": step}), [batch], 1.0, math.inf
        )
        assert (kept is None) == (step >= 2)
    (read,) = replays.read_step(tmp_path / "stage0-step000001", [Pack]).batches
    for name, value in vars(batch).items():
        other = getattr(read, name)
        assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
    with pytest.raises(ValueError, match="holds no step: give a folder such as RUN/replay"):
        replays.read_step(tmp_path, [Pack])


def test_packs_are_split_into_their_samples() -> None:
    samples = tiny.samples(3)
    for sample, pack in zip(samples, split_pack(collate(samples)), strict=True):
        alone = collate([sample])
        assert pack.keys == alone.keys and pack.trained == alone.trained
        assert torch.equal(pack.ids, alone.ids) and torch.equal(pack.weights, alone.weights)
        assert torch.equal(pack.tiles, alone.tiles) or not len(alone.tiles)


RECIPE = """
from tests.train import tiny

def recipe():
    stage = tiny.recipe().stages[0].model_copy(update={"steps": 6})
    return tiny.recipe(stages=(stage,), save_every=2)
"""


def test_replay_finds_sample_and_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A block that gives no number for one sample: the step is computed at the weights that it had."""
    key = _keys_of(3)[0]
    file, out = tmp_path / "six.py", tmp_path / "run"
    file.write_text(RECIPE, encoding="utf-8")
    start = ConversationObjective.loss_sum
    seen: list[torch.Tensor] = []

    def loss_sum(
        self: ConversationObjective, model: object, batch: Pack, device: torch.device
    ) -> torch.Tensor:
        block = model.decoder.layers[1].mlp
        hook = block.register_forward_hook(lambda m, x, y: y * math.nan if key in batch.keys else y)
        seen.append(model.connector.linear_1.weight.detach().clone())
        try:
            return start(self, model, batch, device)
        finally:
            hook.remove()

    monkeypatch.setattr(ConversationObjective, "loss_sum", loss_sum)
    assert main(["train", str(file), "--out", str(out)]) == 1
    told, before = capsys.readouterr().err, seen[-1]
    folder = out / "replay" / "stage0-step000003"
    assert "step 3: the loss is nan" in told and str(folder) in told
    states = {path.name: path.stat().st_mtime_ns for path in out.rglob("*.*s*") if path.is_file()}
    assert main(["train", str(file), "--replay", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert torch.equal(seen[-1], before)  # taken again from the state two steps before
    assert found["weights"] == [0, 3] and found["weight"] is None
    assert [name for name, loss in found["losses"].items() if loss is None] == [key]
    assert found["output"].startswith("decoder.layers.1") and found["trained"].startswith("connector.")
    assert {path.name: path.stat().st_mtime_ns for path in out.rglob("*.*s*") if path.is_file()} == states
    assert main(["train", str(file), "--replay", str(out)]) == 2
    assert "holds no step" in capsys.readouterr().err
