"""Mono-InternVL-2B: visual experts learn beside a frozen language model, then attention, then everything.

Every stage can start where the authors' own ended, which is published. Source: docs/facts/mono.md; what the
pre-training's rates, batches and lengths were is not: those of the tuning stand in.
"""

from __future__ import annotations

from tessera.families.catalogue import get_entry
from tessera.recipes.internvl.stage import PARTS, Data, Inside, Part, PublishedStage

MODEL = "Mono-InternVL-2B"
REPOSITORY = "OpenGVLab/Mono-InternVL"
DELTA: tuple[Part | Inside, ...] = ("vision", "connector", "experts")
UNSEEN = ("rate", "decay", "batch", "length", "warmup", "picture_tiles")
FOLDER = "internvl_mono/2b"


def stages() -> tuple[PublishedStage, ...]:
    """Concept, semantic and alignment learning, and tuning; a run of all starts from InternLM2."""
    concepts = PublishedStage(
        MODEL,
        "s1_1",
        DELTA,
        4e-5,
        0.01,
        None,
        128,
        2048,
        (Data("about 0.9B noisy pairs of the web, captions short"),),
        f"{REPOSITORY}, arXiv 2410.08202",
        picture_tiles=6,
        decoder=f"internlm/{get_entry(MODEL).language.name}",
        folder=FOLDER,
        notes=("visual experts begin as copies of the text's feed-forward",),
        unverified=UNSEEN,
    )
    captions = (Data("258M captions made by a model (OpenGVLab/Mono-InternVL-2B-Synthetic-Data)"),)
    semantics = _behind(concepts, "s1_2", "S1-1", data=captions)
    tasks = (Data("about 143M samples of tasks: captions, detection, OCR"),)
    alignment = _behind(semantics, "s1_3", "S1-2", data=tasks, trained=(*DELTA, "attention"))
    script = f"{REPOSITORY} shell/mono_internvl_finetune_llava_slurm.sh"
    talks = (Data("LLaVA-v1.5-mix665k"),)
    tuning = {"trained": PARTS, "data": talks, "source": script, "unverified": (), "hardware": "8 GPUs"}
    return concepts, semantics, alignment, _behind(alignment, "sft", "S1-3", **tuning)


def _behind(stage: PublishedStage, name: str, checkpoint: str, **changes: object) -> PublishedStage:
    return stage.then(name, checkpoint=get_entry(f"{MODEL}-{checkpoint}").hub, **changes)
