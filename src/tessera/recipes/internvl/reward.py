"""VisualPRM: a chat model learns to say + or - to every step of a solution.

`process()`; `tessera prm build` makes such data. How v1.1 was made is not clear: its files are those of
another model than its card names. Source: docs/facts/process_reward.md.
"""

from tessera.recipes.internvl.stage import PARTS, Data, PublishedStage


def process() -> PublishedStage:
    """The one stage."""
    return PublishedStage(
        "VisualPRM-8B",
        "visualprm_8b",
        PARTS,
        1e-5,
        0.05,
        0.1,
        512,
        16_384,
        (Data("VisualPRM400K: 400,000 solutions, 2M steps"),),
        "arXiv 2503.10291, section 3 and supplement 6",
        packed=True,
        warmup=0.05,
        checkpoint="OpenGVLab/InternVL2_5-8B",
        notes=(
            "only + and - carry loss where records say so (tessera prm build writes it); the authors' "
            "fine-tuning trains the token that ends a turn, too (--train-turn-ends)",
        ),
        unverified=("trained", "drop_path", "batch", "length", "pack_tiles", "picture_tiles"),
    )
