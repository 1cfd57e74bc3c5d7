"""The demo's last word: the trained model answers, also where nothing was left to train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tessera.checkpoints.load import load_checkpoint
from tessera.engine.engine import Engine
from tessera.recipes.scale_model.demo import Demo
from tessera.runtime.progress import silent
from tessera.train.loop import Trainer
from tessera.train.setup import set_up
from tests.train import tiny


def run_demo(folder: Path) -> Demo:
    demo = Demo(1, silent, lambda line: None)
    trainer = Trainer(set_up(tiny.recipe()), folder, demo.after_stage)
    assert all(report.steps for report in demo.run(trainer))
    return demo


def test_a_finished_demo_answers_with_the_weights_of_its_last_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_demo(tmp_path)
    again = run_demo(tmp_path)
    used: list[torch.Tensor] = []
    generate = Engine.generate

    def watched(engine: Engine, *given: object, **more: object) -> object:
        used.append(engine.model.connector.linear_1.weight)
        return generate(engine, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "generate", watched)
    assert first.new_picture() == again.new_picture()
    trained = load_checkpoint(again.last_folder).model.connector.linear_1.weight
    assert len(used) == 2 and all(torch.equal(weight, trained) for weight in used)
    assert not torch.equal(trained, again.learner.model.connector.linear_1.weight)
