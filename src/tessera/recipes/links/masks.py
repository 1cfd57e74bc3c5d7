"""The scale model learns to answer with masks: a link token, its queries, a mask decoder (docs/link.md).

Command:   tessera train links/masks --stages.0.sources.0.meta drawn/meta.json --out runs/link
Trained:   all parts
Stages:    masks (560 steps)
Hardware:  CPU, one core
Time:      six minutes on a free core, about 13 beside other work
Expected:  figures in docs/link.md

The data come from `tessera link draw drawn --count 5000`. Queries, projection and mask decoder are fresh.
"""

from tessera.models.links.config import SEGMENTING
from tessera.packing.config import PackingConfig
from tessera.train.objective.links.objective import LinkObjective
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start
from tessera.train.update.config import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule


def recipe() -> Recipe:
    """One stage; what is fresh learns fastest."""
    stage = Stage(
        name="masks",
        steps=560,
        rules=(
            Rule(pattern=r"^links\.", learning_rate=2e-3, weight_decay=0.01),
            Rule(pattern=r"^vision\.", learning_rate=5e-4, weight_decay=0.01),
            Rule(pattern=".", learning_rate=7e-4, weight_decay=0.01),
        ),
        sources=(ManifestSpec(meta="drawn/meta.json"),),
        objective=LinkObjective(),
        packing=PackingConfig(max_tokens=1536, max_tiles=24),
        optimizer=OptimizerConfig(kind="muon", betas=(0.9, 0.95)),
        schedule=Schedule(warmup=20),
    )
    start = Start(checkpoint="shipped", links=SEGMENTING)
    return Recipe(name="scale_model_link", stages=(stage,), start=start, precision="float32")
