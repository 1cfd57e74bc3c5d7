"""The shipped scale model tuned on your own pictures: a meta file and records in InternVL's format.

Command:   tessera train fine_tune --stages.0.sources.0.meta own_data/meta.json
Trained:   all parts
Stages:    fine_tune (60 steps)
Hardware:  CPU, one core
Time:      about a minute for 50 pictures
Expected:  loss falls on the data given; what it does to other questions is for `tessera evaluate` to say

Every record is checked before the first step. 60 steps of 1,536 tokens are about a dozen passes over 50
pictures with four questions each. The rates are a tenth of those that made the model.
"""

from tessera.packing.config import PackingConfig
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule


def recipe() -> Recipe:
    """One stage on the user's data; everything is trained, the ViT at a lower rate."""
    stage = Stage(
        name="fine_tune",
        steps=60,
        rules=(
            Rule(pattern=r"^vision\.", learning_rate=2e-5, weight_decay=0.01),
            Rule(pattern=".", learning_rate=1e-4, weight_decay=0.01),
        ),
        sources=(ManifestSpec(meta="own_data/meta.json"),),
        packing=PackingConfig(max_tokens=1536, max_tiles=48),
        optimizer=OptimizerConfig(kind="adamw"),
        schedule=Schedule(warmup=5),
    )
    return Recipe(name="scale_model_fine_tune", stages=(stage,), start=Start(checkpoint="shipped"))
