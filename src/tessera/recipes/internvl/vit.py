"""InternViT-300M, made by imitation: its features follow those of InternViT-6B.

`distilled()`. That it was done, and from what, is published; no number is. Source: docs/facts/recipes.md,
InternViT-300M.
"""

from tessera.recipes.internvl.stage import Data, PublishedStage


def distilled() -> PublishedStage:
    """One minus the cosine between the last states of both."""
    return PublishedStage(
        "Mini-InternVL-Chat-2B-V1-5",
        "distil",
        ("vision",),
        1e-4,
        0.05,
        0.0,
        64,
        16_384,
        (Data("pictures of all kinds; texts are not looked at"),),
        "arXiv 2410.16261, section 3.1",
        packed=True,
        steps=50_000,
        picture_tiles=1,
        teacher="OpenGVLab/InternViT-6B-448px-V1-5",
        folder="internvit/300m",
        notes=(
            "the authors began from CLIP-L at 336 px, whose files are not read here: the ViT is fresh, or "
            "another InternViT by start.vision",
        ),
        unverified=("rate", "decay", "drop_path", "batch", "length", "steps", "warmup", "picture_tiles"),
    )
