"""The scale model that reasons becomes a process reward model (docs/scale_model.md).

Command:   tessera train scale_model/critic --stages.0.sources.0.meta steps/meta.json --out runs/critic
Trained:   all parts
Stages:    critic (300 steps)
Hardware:  CPU, one core
Time:      about three minutes
Expected:  it reads a little and does not add: best-of-N gains nothing at this size (docs/scale_model.md)

The steps come from `tessera prm build` with the model of `scale_model/reasoning`, which is also the start:
who can read a picture can check what was read.
"""

from tessera.packing.config import PackingConfig
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule


def recipe() -> Recipe:
    """One stage on talks with + and -."""
    stage = Stage(
        name="critic",
        steps=300,
        rules=(Rule(pattern=".", learning_rate=5e-4, weight_decay=0.01),),
        sources=(ManifestSpec(meta="steps/meta.json"),),
        packing=PackingConfig(max_tokens=2048, max_tiles=48, on_fault="skip"),
        optimizer=OptimizerConfig(kind="adamw"),
        schedule=Schedule(warmup=5),
    )
    start = Start(checkpoint="runs/reasoning/0_reasoning")
    return Recipe(name="scale_model_critic", stages=(stage,), start=start, precision="float32")
