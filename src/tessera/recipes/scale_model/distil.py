"""A small ViT learns from the shipped one, as InternViT-300M learned from the 6B (Mini-InternVL, 2410.16261).

Command:   tessera train distil --out runs/distil
Trained:   ViT
Stages:    imitate (400 steps)
Hardware:  CPU, one core
Time:      about three minutes
Expected:  loss below 0.09, the mean of 1 - cosine

The small ViT has 2 layers of 96 channels, the large one 6 of 192: a linear layer that is thrown away makes up
for the width. The last states of both are compared, patch by patch. What comes next: a decoder and a fresh
connector (`tessera graft --vision runs/distil --decoder shipped --out models/small`).
"""

from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.objective.distillation import DistillationObjective
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.config import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

PICTURES = PlaygroundSource(
    name="pictures",
    suites={"shapes": 1.0, "text": 1.0, "chart": 0.7},
    levels={1: 0.2, 2: 0.7, 3: 0.1},
    questions=1,
)


def recipe() -> Recipe:
    """One stage; everything of the small ViT is trained."""
    stage = Stage(
        name="imitate",
        steps=400,
        rules=(Rule(pattern=".", learning_rate=2e-3, weight_decay=0.05),),
        sources=(PICTURES,),
        objective=DistillationObjective(teacher="shipped"),
        packing=PackingConfig(max_tokens=16384, max_tiles=64),
        optimizer=OptimizerConfig(kind="muon", betas=(0.9, 0.95)),
        schedule=Schedule(warmup=20),
    )
    return Recipe(name="scale_model_distil", stages=(stage,), start=Start(family="scale_small"))
