"""The shipped scale model with ears: beeps, and beeps that pick a thing of a picture.

Command:   tessera train omni/scale_model --out runs/omni
Trained:   audio encoder and its MLP, then the decoder, too
Stages:    ears (210 steps), talk (250 steps)
Hardware:  CPU, one core
Time:      13 minutes on a core that others used, too
Expected:  figures beside those of the text alone in docs/audio.md

InternOmni trains the MLP alone, behind an encoder that has heard much. There is no Whisper of this size, so
the encoder is drawn at random and learns here; ViT and connector stay as they are.
"""

from tessera.packing.config import PackingConfig
from tessera.recipes.scale_model.internvl_2_5 import MUON
from tessera.records.manifest import PlaygroundSource
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

EARS = (
    Rule(pattern=r"^audio\.positions", learning_rate=1e-3),
    Rule(pattern=r"^audio\.", learning_rate=2e-3, weight_decay=0.01),
    Rule(pattern=r"^audio_connector\.", learning_rate=6e-3, weight_decay=0.01),
)
LEVELS = {1: 0.4, 2: 0.6}


def recipe() -> Recipe:
    """Two stages on drawn sounds; pictures come with the second."""
    ears = Stage(
        name="ears",
        steps=210,
        rules=(*EARS, Rule(pattern=r"^decoder\.", learning_rate=3e-4, weight_decay=0.01), Rule(pattern=".")),
        sources=(_drawn("beeps", {"sounds": 1.0}, descriptions=0.5),),
        packing=PackingConfig(max_tokens=2048, max_tiles=32),
        optimizer=MUON,
        schedule=Schedule(warmup=10, floor=0.3),
    )
    mixture = (
        _drawn("heard", {"sounds": 1.0, "picked": 1.0}, descriptions=0.25),
        PlaygroundSource(name="seen", suites={"shapes": 1.0, "text": 0.5}, questions=8, weight=0.15),
    )
    change = {"name": "talk", "steps": 250, "sources": mixture, "schedule": Schedule(warmup=10)}
    start = Start(family="scale_omni", checkpoint="shipped", audio="fresh")
    return Recipe(name="scale_model_omni", stages=(ears, ears.model_copy(update=change)), start=start)


def _drawn(name: str, suites: dict[str, float], descriptions: float) -> PlaygroundSource:
    """A description names every beep: it teaches more than a short answer."""
    return PlaygroundSource(name=name, suites=suites, levels=LEVELS, questions=4, descriptions=descriptions)
