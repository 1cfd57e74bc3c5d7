"""Contrastive start of the scale model's ViT.

Command:   tessera train vision --out runs/vision
Trained:   ViT
Stages:    pairs (2,000 steps)
Hardware:  CPU, one core
Time:      about 35 minutes
Expected:  loss below 1.0; see docs/scale_model.md for the run that made the shipped weights

Pictures and captions meet in one space, as in InternVL 1.0; beside it, regions meet the phrases that name
them ("big red circle", "letter g", "blue bar 7"), because the connector reads patches, not the class token.
"""

from tessera.records.manifest import PlaygroundSource
from tessera.train.objective.contrastive import ContrastiveObjective
from tessera.train.recipe import Recipe, Stage
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

PICTURES = PlaygroundSource(
    name="pictures", suites={"shapes": 1.0, "text": 1.0, "chart": 0.7}, levels={1: 0.2, 2: 0.7, 3: 0.1}
)


def recipe() -> Recipe:
    """One stage, everything trained."""
    stage = Stage(
        name="pairs",
        steps=2000,
        rules=(Rule(pattern=".", learning_rate=2e-3, weight_decay=0.05),),
        sources=(PICTURES,),
        objective=ContrastiveObjective(pictures=64, region_share=0.7),
        optimizer=OptimizerConfig(kind="muon", betas=(0.9, 0.95)),
        schedule=Schedule(warmup=50),
    )
    return Recipe(name="scale_model_vision", stages=(stage,), save_every=250)
