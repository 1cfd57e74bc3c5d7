"""The scale model with a resolution router: ViCO's two stages in miniature (docs/moe.md).

Command:   tessera train flash/scale_model --out runs/flash
Trained:   all but the ViT, then the router alone
Stages:    consistency (240 steps), routing (100 steps)
Hardware:  CPU, one core
Time:      about seven minutes
Expected:  figures in docs/moe.md

Stage one imitates the shipped model with tiles of 16 or 4 tokens. Stage two labels tiles by how much further
from it few tokens are. As published the ViT, both connectors and the decoder are frozen there.
"""

from tessera.models.resolution.config import ResolutionConfig
from tessera.packing.config import PackingConfig
from tessera.recipes.scale_model.internvl_2_5 import LEVELS, SINGLE, pictures
from tessera.records.manifest import PlaygroundSource
from tessera.train.objective.resolution.consistency import ConsistencyObjective
from tessera.train.objective.resolution.routing import RoutingObjective
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.config import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

REFERENCE = "shipped"
PACKING = PackingConfig(max_tokens=1536, max_tiles=32, averaging="token")


def recipe() -> Recipe:
    """Consistency, then routing."""
    consistency = Stage(
        name="consistency",
        steps=240,
        rules=(
            Rule(pattern=r"^(vision|router)\."),
            Rule(pattern=r"^coarse\.", learning_rate=2e-3, weight_decay=0.01),
            Rule(pattern=".", learning_rate=3e-4, weight_decay=0.01),
        ),
        sources=(_drawn("consistency"),),
        objective=ConsistencyObjective(reference=REFERENCE),
        packing=PACKING,
        optimizer=OptimizerConfig(kind="muon", betas=(0.9, 0.95)),
        schedule=Schedule(warmup=20),
    )
    change = {
        "name": "routing",
        "steps": 100,
        "rules": (Rule(pattern=r"^router\.", learning_rate=1e-3, weight_decay=0.01), Rule(pattern=".")),
        "sources": (_drawn("routing"),),
        "objective": RoutingObjective(reference=REFERENCE),
        "optimizer": OptimizerConfig(),
    }
    stages = (consistency, consistency.model_copy(update=change))
    start = Start(checkpoint="shipped", resolution=ResolutionConfig())
    return Recipe(name="scale_model_flash", stages=stages, start=start, precision="float32")


def _drawn(name: str) -> PlaygroundSource:
    return pictures(name, SINGLE, LEVELS, descriptions=0.1)
