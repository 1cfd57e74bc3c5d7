"""InternVL 2.5: connector, ViT (where it was made), everything; and how the new ViTs came about.

`stages("8B")` gives the stages of a size in order. Both ViTs of 2.5 came out of stage 1.5, one beside a
decoder of 7B, one beside 20B. The other sizes take them ready-made and skip that stage (progressive scaling).
Source: docs/facts/recipes.md, InternVL 2.5.
"""

from dataclasses import dataclass

from tessera.recipes.internvl.stage import PARTS, Data, PublishedStage, parts_of

SOURCE = "OpenGVLab/InternVL internvl_chat/shell/internvl2.5; arXiv 2412.05271, section 4"
PRETRAINING = (Data("pre-training mixture of 2.5: captions, OCR, charts, documents, grounding, clips"),)
INSTRUCTIONS = (Data("instruction mixture of 2.5: 16.3M samples; 46 % of the tokens from single pictures, "
                     "9 % from several, 40 % from clips, 5 % from text"),)  # fmt: skip
UPPER_BOUND = "100,000 steps are an upper bound: the authors stopped earlier, see tokens"


@dataclass(frozen=True)
class SizeOf2_5:
    """What differs between the sizes."""

    rate: float
    """Peak rate of stage 2."""
    decay: float
    drop_path: float
    steps: int
    """Of stage 2."""
    tokens: tuple[str, ...]
    """Of every stage."""
    own_vision: str = ""
    """The ViT that stage 1.5 of this size began from; empty where the ViT was taken ready-made."""


SIZES = {
    "1B": SizeOf2_5(4e-5, 0.01, 0.1, 22_000, ("191B", "176B")),
    "2B": SizeOf2_5(4e-5, 0.01, 0.1, 22_000, ("277B", "176B")),
    "4B": SizeOf2_5(4e-5, 0.01, 0.1, 11_000, ("164B", "88B")),
    "8B": SizeOf2_5(4e-5, 0.05, 0.1, 5_500, ("22B", "76B", "44B"), "OpenGVLab/InternViT-300M-448px"),
    "26B": SizeOf2_5(2e-5, 0.05, 0.4, 5_500, ("31B", "146B", "44B"), "OpenGVLab/InternViT-6B-448px-V1-5"),
    "38B": SizeOf2_5(2e-5, 0.05, 0.4, 5_500, ("107B", "44B")),
    "78B": SizeOf2_5(2e-5, 0.05, 0.4, 5_500, ("76B", "44B")),
}


def stages(size: str) -> tuple[PublishedStage, ...]:
    """The stages of a size, each starting from the one before. KeyError for another size."""
    row, model = SIZES[size], f"InternVL2_5-{size}"
    parts = parts_of(model)
    maker = "26b" if "-6B-" in parts["vision"] else "8b"
    parts["vision"] = row.own_vision or parts["vision"]
    first = PublishedStage(
        model,
        "stage_1",
        ("connector",),
        2e-4,
        row.decay,
        0.0,
        512,
        16_384,
        PRETRAINING,
        SOURCE,
        packed=True,
        steps=100_000,
        warmup=100,
        tokens=row.tokens[0],
        hardware="512 GPUs",
        vision_after="" if row.own_vision else f"internvl_2_5/{maker}/stage_1_5",
        notes=(UPPER_BOUND,),
        **parts,
    )
    found = [first]
    shared = {"drop_path": row.drop_path, "tokens": row.tokens[-1]}
    if row.own_vision:
        change = {"trained": ("vision", "connector"), "rate": 1e-5, "batch": 1024, "tokens": row.tokens[1]}
        found.append(first.then("stage_1_5", **shared | change, notes=(UPPER_BOUND,)))
    change = {"trained": PARTS, "rate": row.rate, "batch": 512, "steps": row.steps, "warmup": 0.03}
    return (*found, found[-1].then("stage_2", **shared | change, data=INSTRUCTIONS))
