"""A recipe to copy and change: two stages on drawn pictures, with every field that papers change written out.

Command:   tessera train forkme --out runs/forkme
Trained:   all, in stages
Stages:    warm_up (10 steps), full (20 steps)
Hardware:  CPU, one core
Time:      half a minute
Expected:  it runs; the shipped model it starts from gets no better by so few steps

`tessera recipes --copy forkme mine.py`, edit, `tessera train mine.py`. docs/recipes.md explains the words.
"""

from tessera.nn.lora import LoRAConfig
from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

# First weights: a folder, a name of the hub, "shipped"; or vision and decoder with a fresh connector.
START = Start(checkpoint="shipped")

# What is learned from: ManifestSpec(meta="my_data.yaml") of tessera.train.recipe reads your own records.
PICTURES = PlaygroundSource(name="pictures", suites={"shapes": 1.0, "chart": 0.5})

# How samples become batches: room of a pack, weights of tokens, what becomes of records that are too long.
PACKING = PackingConfig(max_tokens=2048, max_tiles=64, averaging="square", over_long="error", v2pe=None)

# First match wins; a rule without a rate freezes. The last one catches the rest.
CONNECTOR_ALONE = (Rule(pattern=r"^connector\.", learning_rate=1e-3, weight_decay=0.01), Rule(pattern="."))
PARTS = (
    Rule(pattern=r"^vision\.", learning_rate=1e-5, weight_decay=0.01, layer_decay=0.9),
    Rule(pattern=r"^connector\.", learning_rate=5e-5, weight_decay=0.01),
    Rule(pattern=r"^decoder\.layers\.", learning_rate=2e-4, lora=LoRAConfig(rank=16, dropout=0.05)),
    Rule(pattern="."),
)


def recipe() -> Recipe:
    """The connector alone, then a low rate for the ViT and LoRA for the decoder."""
    warm_up = Stage(
        name="warm_up",
        steps=10,
        rules=CONNECTOR_ALONE,
        sources=(PICTURES,),
        packing=PACKING,
        accumulate=1,
        schedule=Schedule(kind="cosine", warmup=0.03, floor=0.0),
        optimizer=OptimizerConfig(kind="adamw", betas=(0.9, 0.999), clip=1.0),
        drop_path=0.0,
    )
    change = {"name": "full", "steps": 20, "rules": PARTS, "drop_path": 0.1, "recompute": "blocks"}
    full = warm_up.model_copy(update=change)
    return Recipe(name="forkme", stages=(warm_up, full), start=START, seed=0, precision="bfloat16")
