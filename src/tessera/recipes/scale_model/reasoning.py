"""The shipped scale model learns to reason: short steps, then `Final answer: X` (docs/align_scale_model.md).

Command:   tessera train scale_model/reasoning --out runs/reasoning
Trained:   all parts
Stages:    reasoning (200 steps)
Hardware:  CPU, one core
Time:      under two minutes
Expected:  about half of the held-out questions right (`tessera evaluate --tasks reason`)

It ends before it can do everything: what it is still unsure of is what preferences teach it.
"""

from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

LEVELS = {1: 0.3, 2: 0.7}


def recipe() -> Recipe:
    """One stage on new drawings, three questions each."""
    stage = Stage(
        name="reasoning",
        steps=200,
        rules=(Rule(pattern=".", learning_rate=1e-3, weight_decay=0.01),),
        sources=(PlaygroundSource(name="reasoning", suites={"reasoning": 1.0}, questions=3, levels=LEVELS),),
        packing=PackingConfig(max_tokens=2048, max_tiles=48),
        optimizer=OptimizerConfig(kind="adamw"),
        schedule=Schedule(warmup=5),
    )
    start = Start(checkpoint="shipped")
    return Recipe(name="scale_model_reasoning", stages=(stage,), start=start, precision="float32")
