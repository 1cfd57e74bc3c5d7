"""InternOmni, stage 1: speech to text; the MLP behind Whisper's encoder learns, everything else is frozen.

Command:   tessera train omni/stage_1 --stages.0.sources.0.meta speech.json --out runs/omni_1
Trained:   audio_connector (mlp2)
Stages:    speech (4,000 steps)
Hardware:  64 GPUs, about 30 hours as published
Time:      not run here
Expected:  about 26M samples of GigaSpeech, CommonVoice, Libriheavy and WenetSpeech were seen

It starts from InternVL2-8B with Whisper-large-v3's encoder and a fresh MLP. What was trained and for how many
steps was published (docs/facts/audio.md). Rate, samples of a step, decay and warm-up were not: they are those
of InternVL 2's connector warm-up and yours to change.
"""

from tessera.packing.config import PackingConfig
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start, to_fill
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

CONNECTOR = Rule(pattern=r"^audio_connector\.", learning_rate=2e-4, weight_decay=0.05)
SPEECH = "manifest of your data, records with `audio`; published: 26M samples of speech with their text"


def recipe() -> Recipe:
    """One stage; records carry `audio` and a question or none (docs/audio.md)."""
    stage = Stage(
        name="speech",
        steps=4000,
        rules=(CONNECTOR, Rule(pattern=".")),
        sources=(ManifestSpec(meta=to_fill(SPEECH)),),
        packing=PackingConfig(max_tokens=8192, max_tiles=32, workers=2),
        accumulate=128,
        schedule=Schedule(warmup=0.03),
        recompute="blocks",
    )
    start = Start(family="InternOmni", checkpoint="OpenGVLab/InternVL2-8B", audio="openai/whisper-large-v3")
    return Recipe(name="omni_stage_1", stages=(stage,), start=start)
