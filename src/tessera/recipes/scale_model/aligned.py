"""The scale model that reasons learns from pairs of its own answers (docs/align_scale_model.md).

Command:   tessera train scale_model/aligned --stages.0.sources.0.meta pairs/meta.json --out runs/aligned
Trained:   all parts
Stages:    aligned (60 steps)
Hardware:  CPU, one core
Time:      about two minutes
Expected:  figures in docs/align_scale_model.md

The pairs come from `tessera prefer` with the model of `scale_model/reasoning`. The rate is higher than the
published ones, as for all stages of a model so small.
"""

from tessera.packing.config import PackingConfig
from tessera.train.objective.preference import PreferenceObjective
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule


def recipe() -> Recipe:
    """One stage with the mixed objective."""
    stage = Stage(
        name="aligned",
        steps=60,
        accumulate=2,
        rules=(Rule(pattern=".", learning_rate=2e-4),),
        objective=PreferenceObjective(),
        sources=(ManifestSpec(meta="pairs/meta.json"),),
        packing=PackingConfig(max_tokens=2048, max_tiles=48, on_fault="skip"),
        optimizer=OptimizerConfig(kind="adamw"),
        schedule=Schedule(warmup=5),
    )
    start = Start(checkpoint="runs/reasoning/0_reasoning")
    return Recipe(name="scale_model_aligned", stages=(stage,), start=start, precision="float32")
