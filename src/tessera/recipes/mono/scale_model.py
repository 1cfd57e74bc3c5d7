"""The scale model without a ViT: visual experts beside the shipped decoder, then everything (Mono-InternVL).

Command:   tessera train mono/scale_model --out runs/mono
Trained:   visual experts, then all
Stages:    experts (170 steps), full (225 steps)
Hardware:  CPU, one core
Time:      11 minutes beside other work
Expected:  figures beside those of the modular model in docs/mono.md

Delta tuning in miniature: experts begin as copies of the decoder's feed-forward, and the decoder stays as it
is until they have learned to see. A tile costs a fortieth of what it costs with the shipped ViT.
"""

from tessera.packing.config import PackingConfig
from tessera.recipes.scale_model.internvl_2_5 import ALL, LEVELS, MUON, SINGLE, USUAL, pictures
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

EYES = Rule(pattern=r"^vision\.|\.mlp_visual\.", learning_rate=2e-3, weight_decay=0.01)
CONNECTOR = Rule(pattern=r"^connector\.", learning_rate=6e-3, weight_decay=0.01)


def recipe() -> Recipe:
    """Two stages on drawn pictures, the mixture of the last one that of the modular model."""
    experts = Stage(
        name="experts",
        steps=170,
        rules=(EYES, CONNECTOR, Rule(pattern=".")),
        sources=(pictures("experts", SINGLE, USUAL, descriptions=0.2),),
        packing=PackingConfig(max_tokens=4096, max_tiles=96),
        optimizer=MUON,
        schedule=Schedule(warmup=20, floor=0.3),
    )
    full = experts.model_copy(
        update={
            "name": "full",
            "steps": 225,
            "rules": (
                EYES.model_copy(update={"learning_rate": 1e-3}),
                CONNECTOR.model_copy(update={"learning_rate": 2e-3}),
                Rule(pattern=".", learning_rate=7e-4, weight_decay=0.01),
            ),
            "sources": (pictures("full", ALL, LEVELS, descriptions=0.2),),
            "schedule": Schedule(warmup=10),
        }
    )
    start = Start(family="scale_mono", decoder="shipped")
    return Recipe(name="scale_model_mono", stages=(experts, full), start=start)
