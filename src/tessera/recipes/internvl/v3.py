"""InternVL 3: native multimodal pre-training of everything at once, then tuning on instructions.

`stages("8B")` gives both. Rates and batches of either were not published: those of 2.5's last stage and of
the second fine-tune stand in, named under `unverified`. Preference training (MPO) follows in the series.
Source: docs/facts/recipes.md, InternVL 3.
"""

from tessera.recipes.internvl.second import SERIES
from tessera.recipes.internvl.stage import PARTS, Data, PublishedStage, parts_of

SIZES = ("1B", "2B", "8B", "9B", "14B", "38B", "78B")
SOURCE = "arXiv 2504.10479, sections 2 and 3"
TOKENS = 200e9
"""50B of text and 150B of pictures, clips and text."""
NATIVE = (
    Data("text of a language model's training: 50B tokens", 0.25),
    Data("captions, documents, OCR, charts, grounding, clips, tools, 3D: 150B tokens", 0.75),
)
INSTRUCTIONS = (Data("instruction mixture of 3: 21.7M samples"),)
BATCH, LENGTH = 512, 32_768


def stages(size: str) -> tuple[PublishedStage, ...]:
    """Native pre-training and tuning of a size. ValueError naming the models for another one."""
    tuned = SERIES[f"InternVL3-{size}"]
    native = PublishedStage(
        f"InternVL3-{size}-Pretrained",
        "native",
        PARTS,
        2e-5 if size in ("38B", "78B") else 4e-5,
        0.05,
        tuned.drop_path,
        BATCH,
        LENGTH,
        NATIVE,
        SOURCE,
        packed=True,
        steps=round(TOKENS / (BATCH * LENGTH)),
        pack_tiles=96,
        v2pe=True,
        tokens="200B",
        unverified=("rate", "decay", "drop_path", "batch", "steps", "warmup", "pack_tiles", "picture_tiles"),
        **parts_of(f"InternVL3-{size}"),
    )
    change = {"model": f"InternVL3-{size}-Instruct", "rate": tuned.rate, "steps": None, "data": INSTRUCTIONS}
    rest = {"unverified": (*native.unverified, "length"), "tokens": "", "length": 16_384, "pack_tiles": 48}
    return native, native.then("sft", **change, **rest, checkpoint=f"OpenGVLab/{native.model}")
