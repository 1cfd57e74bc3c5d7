"""Both stages of a resolution router at nano size, and a model that opens and answers behind them."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console

import tessera
from tessera.checkpoints.save import save_checkpoint
from tessera.cli.training.train import follow, prepare
from tessera.families.catalogue import fresh
from tessera.recipes.flash.scale_model import recipe as flash
from tessera.runtime.progress import Bars
from tessera.train.watch.telemetry import stage_figures
from tests.engine.tiny import picture
from tests.train import tiny


def test_two_steps_of_both_stages(tmp_path: Path) -> None:
    family = fresh("nano_model", tiny.tokenizer())
    base = str(save_checkpoint(tmp_path / "base", tiny.model(), family, tiny.tokenizer(), "tessera"))
    whole = flash()
    stages = tuple(
        stage.model_copy(
            update={"steps": 2, "objective": stage.objective.model_copy(update={"reference": base})}
        )
        for stage in whole.stages
    )
    start = whole.start.model_copy(update={"checkpoint": base})
    recipe = whole.model_copy(update={"stages": stages, "start": start})
    silent, console = Bars(), Console(quiet=True)
    (tmp_path / "run").mkdir()
    trainer = prepare(recipe, tmp_path / "run", silent, console)
    figures = stage_figures(follow(trainer, trainer.run(), silent, console))
    assert list(figures) == ["consistency", "routing"]
    assert all(math.isfinite(f["loss"]) and f["steps"] == 2 for f in figures.values())
    model = tessera.load(trainer.stage_folder(1), device="cpu")
    assert isinstance(model.chat("what?", [picture(1, 40, 20)], max_new_tokens=3), str)
    encoded = model.encode([{"role": "user", "content": "what?"}])
    assert encoded.tile_tokens == ()
