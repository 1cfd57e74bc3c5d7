"""InternOmni, stage 2: pictures with spoken questions; again the MLP behind Whisper's encoder alone learns.

Command:   tessera train omni/stage_2 --start.checkpoint runs/omni_1 --stages.0.sources.0.meta asked.json
Trained:   audio_connector (mlp2)
Stages:    spoken_questions (3,000 steps)
Hardware:  32 GPUs, about 15 hours as published
Time:      not run here
Expected:  about 1.9M samples of TextVQA, GQA, OKVQA and ALLaVA with spoken questions were seen

What was trained and for how many steps was published (docs/facts/audio.md); rate, samples of a step, decay
and warm-up were not, and are those of stage 1.
"""

from tessera.packing.config import PackingConfig
from tessera.recipes.omni import stage_1
from tessera.train.recipe import ManifestSpec, Recipe, Start, to_fill

ASKED = "manifest of your data, records with `image` and `audio`; published: 1.9M questions that are spoken"


def recipe() -> Recipe:
    """One stage behind the first one's result."""
    (first,) = stage_1.recipe().stages
    change = {
        "name": "spoken_questions",
        "steps": 3000,
        "sources": (ManifestSpec(meta=to_fill(ASKED), max_dynamic_patch=12),),
        "packing": PackingConfig(max_tokens=8192, max_tiles=32, workers=2),
    }
    start = Start(checkpoint=to_fill("folder of the model that stage 1 made"))
    return Recipe(name="omni_stage_2", stages=(first.model_copy(update=change),), start=start)
