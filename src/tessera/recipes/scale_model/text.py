"""Text-only start of the scale model's decoder: captions in words, then questions about them.

Command:   tessera train text --out runs/text
Trained:   decoder
Stages:    text (1,500 steps)
Hardware:  CPU, one core
Time:      about 25 minutes
Expected:  loss below 0.2; see docs/scale_model.md for the run that made the shipped weights

The decoder learns to bind attributes to things, to count in a list, to spell and to add before it sees a
picture. A share of the conversations has no caption at all: from them it learns what is likely, which makes
the finished decoder the text-only baseline of every table.
"""

from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.recipe import Recipe, Stage
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

SUITES = {"shapes": 1.0, "text": 0.8, "chart": 0.8, "pair": 0.4, "clip": 0.4}
LEVELS = {1: 0.2, 2: 0.7, 3: 0.1}


def recipe() -> Recipe:
    """One stage; ViT and connector stay as they are."""
    stage = Stage(
        name="text",
        steps=1500,
        rules=(
            Rule(pattern=r"^decoder\.", learning_rate=2e-3, weight_decay=0.05),
            Rule(pattern="."),
        ),
        sources=(
            PlaygroundSource(name="captions", mode="caption", suites=SUITES, levels=LEVELS, weight=0.85),
            PlaygroundSource(name="blind", mode="blind", suites=SUITES, levels=LEVELS, weight=0.15),
        ),
        packing=PackingConfig(max_tokens=6144, max_tiles=0),
        optimizer=OptimizerConfig(kind="muon", betas=(0.9, 0.95)),
        schedule=Schedule(warmup=50),
    )
    return Recipe(name="scale_model_text", stages=(stage,), save_every=250)
