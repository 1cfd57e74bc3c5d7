"""VisualPRM: a chat model learns to say + or - to every step of a solution.

`process("VisualPRM-8B")` and `process("VisualPRM-8B-v1_1")`; `tessera prm build` makes such data.
Source: docs/facts/process_reward.md.
"""

from tessera.recipes.internvl.stage import PARTS, Data, PublishedStage

MODELS = {
    "VisualPRM-8B": ("InternVL2_5-8B", "VisualPRM400K: 400,000 solutions, 2M steps", ()),
    "VisualPRM-8B-v1_1": (
        "InternVL2_5-8B-MPO",
        "VisualPRM400K-v1.1: solutions by InternVL3-8B, up to 16 steps",
        ("its card names both 2.5-8B and 2.5-8B-MPO as its base",),
    ),
}
"""Reward model → the model it was made from, what it learned from, and what else is to be said."""
SIGNS_ONLY = (
    "only + and - carry loss where records say so (tessera prm build writes it); the authors' fine-tuning "
    "trains the token that ends a turn, too (--train-turn-ends)"
)


def process(model: str) -> PublishedStage:
    """The one stage. KeyError for another model."""
    start, data, more = MODELS[model]
    return PublishedStage(
        model,
        model.lower().replace("-", "_"),
        PARTS,
        1e-5,
        0.05,
        0.1,
        512,
        16_384,
        (Data(data),),
        "arXiv 2503.10291, section 3 and supplement 6",
        packed=True,
        warmup=0.05,
        checkpoint=f"OpenGVLab/{start}",
        notes=(SIGNS_ONLY, *more),
        unverified=("trained", "drop_path", "batch", "length", "pack_tiles", "picture_tiles"),
    )
