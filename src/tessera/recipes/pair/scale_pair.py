"""Both stages of 1.0's pair at toy size, on drawn pictures.

Command:   tessera train scale_pair --out runs/pair
Trained:   all, then queries and heads
Stages:    contrast_masked (160 steps), contrast (40 steps), tasks (80 steps)
Hardware:  CPU, one core
Time:      about 12 minutes
Expected:  recall of held-out pairs in docs/pair.md

The ViT begins as the shipped one, LLaMA, queries and heads from nothing. Pictures hide half of their patches
in the first stage. Pairs with the same caption are alike (`soft`), which drawn pictures need.
"""

from tessera.recipes.pair.published import NEW
from tessera.records.manifest import PlaygroundSource
from tessera.train.objective.pairing.first import PairContrastObjective
from tessera.train.objective.pairing.second import PairTasksObjective
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

PICTURES = PlaygroundSource(name="pictures", suites={"shapes": 1.0}, levels={1: 1.0})


HEAD = r"^qllama\.lm_head\."
"""Trained beside what stage 2 trains: this LLaMA never learned to write."""


def recipe() -> Recipe:
    """Contrast with and without masking, then three tasks with ViT and LLaMA's blocks frozen."""
    tasks = Stage(
        name="tasks",
        steps=80,
        rules=(Rule(pattern=f"{NEW}|{HEAD}", learning_rate=2e-3, weight_decay=0.05), Rule(pattern=".")),
        sources=(PICTURES,),
        objective=PairTasksObjective(pictures=32, soft=True),
        optimizer=OptimizerConfig(kind="muon", betas=(0.9, 0.98)),
        schedule=Schedule(warmup=10),
    )
    return Recipe(
        name="scale_pair",
        stages=(_contrast("contrast_masked", 160, 2e-3, 0.5), _contrast("contrast", 40, 1e-3, 0.0), tasks),
        start=Start(family="scale_pair", vision="shipped"),
        precision="float32",
        save_every=200,
    )


def _contrast(name: str, steps: int, rate: float, masked: float) -> Stage:
    return Stage(
        name=name,
        steps=steps,
        rules=(
            Rule(pattern=r"^vision\.", learning_rate=rate / 4, weight_decay=0.05),
            Rule(pattern=".", learning_rate=rate, weight_decay=0.05),
        ),
        sources=(PICTURES,),
        objective=PairContrastObjective(pictures=64, masked=masked, soft=True),
        optimizer=OptimizerConfig(kind="muon", betas=(0.9, 0.95)),
        schedule=Schedule(warmup=10),
    )
