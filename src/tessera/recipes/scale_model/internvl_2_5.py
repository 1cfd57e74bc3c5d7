"""The scale model through the recipe of InternVL 2.5: connector warm-up, ViT incremental, full tuning.

Command:   tessera train internvl_2_5 --out runs/internvl_2_5
Trained:   all, in stages
Stages:    connector_warmup (120 steps), vit_incremental (90 steps), full (620 steps)
Hardware:  CPU, two cores
Time:      about 10 minutes
Expected:  each stage better than the one before; figures in docs/scale_model.md

As in the paper the stages differ in what is trained (connector; ViT and connector; everything), and stage 2
trains on the mixture of all suites. It starts from the pretrained ViT and decoder that ship with the package.
The first two stages ask questions only: with descriptions they end below the text-only baseline, perhaps
because a frozen decoder can't learn to describe. In the third a fifth of the conversations are descriptions,
and the decoder, which can read and count already, learns at a third of the rate it was pretrained with.
"""

from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

SINGLE = {"shapes": 1.0, "text": 1.0, "chart": 0.8}
ALL = SINGLE | {"pair": 0.2, "clip": 0.2}
USUAL = {2: 1.0}
LEVELS = {1: 0.3, 2: 0.65, 3: 0.05}
MUON = OptimizerConfig(kind="muon", betas=(0.9, 0.95))
CONNECTOR = Rule(pattern=r"^connector\.", learning_rate=1e-2, weight_decay=0.01)


def recipe() -> Recipe:
    """Three stages on drawn pictures."""
    warm_up = Stage(
        name="connector_warmup",
        steps=120,
        rules=(CONNECTOR, Rule(pattern=".")),
        sources=(pictures("warmup", SINGLE, USUAL, descriptions=0.0),),
        packing=PackingConfig(max_tokens=4096, max_tiles=64),
        optimizer=MUON,
        schedule=Schedule(warmup=10, floor=0.1),
    )
    with_vision = (
        Rule(pattern=r"^vision\.", learning_rate=1e-3, weight_decay=0.01),
        CONNECTOR.model_copy(update={"learning_rate": 6e-3}),
        Rule(pattern="."),
    )
    drawings = pictures("incremental", SINGLE, USUAL, descriptions=0.0)
    change = {"name": "vit_incremental", "steps": 90, "rules": with_vision, "sources": (drawings,)}
    incremental = warm_up.model_copy(update=change)
    full = Stage(
        name="full",
        steps=620,
        rules=(
            Rule(pattern=r"^vision\.", learning_rate=1e-3, weight_decay=0.01),
            CONNECTOR.model_copy(update={"learning_rate": 2e-3}),
            Rule(pattern=".", learning_rate=7e-4, weight_decay=0.01),
        ),
        sources=(pictures("full", ALL, LEVELS, descriptions=0.2),),
        packing=PackingConfig(max_tokens=4096, max_tiles=96),
        optimizer=MUON,
        schedule=Schedule(warmup=10),
    )
    start = Start(vision="shipped", decoder="shipped")
    return Recipe(name="scale_model_internvl_2_5", stages=(warm_up, incremental, full), start=start)


def pictures(
    name: str, suites: dict[str, float], levels: dict[int, float], descriptions: float
) -> PlaygroundSource:
    """New drawings for ever: a share to be described, the others with eight questions each.

    A description names every thing with size, colour, shape and place: a token of it teaches more about
    seeing than a token of a short answer; with few descriptions places were learned far later (docs/log.md).
    """
    return PlaygroundSource(name=name, suites=suites, levels=levels, questions=8, descriptions=descriptions)
