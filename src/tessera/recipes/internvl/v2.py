"""What was published on top of InternVL 2: adaptation of the Mini models to four domains, and V2PE.

`domain("1B", "BDD")` and `v2pe()`. How InternVL 2 itself was trained was not published beyond its second
fine-tunes (`second`). Source: docs/facts/recipes.md, InternVL 2.
"""

from tessera.recipes.internvl.stage import PARTS, Data, PublishedStage

SIZES = ("1B", "2B", "4B")
DOMAINS = {"Drivelm": 15_100, "BDD": 240, "Medical": 2_200, "RS": 2_500}
"""Domain, as the models' names say it, to its steps."""
DATA = {
    "Drivelm": "DriveLM: questions about six cameras of a car",
    "BDD": "BDD-X: clips of drives with actions, reasons and control signals",
    "Medical": "medical pictures with questions",
    "RS": "remote sensing: questions, grounding, descriptions",
}


def domain(size: str, name: str) -> PublishedStage:
    """The adaptation of a size to a domain of `DOMAINS`. KeyError for another one."""
    return PublishedStage(
        f"Mini-InternVL2-{size}-DA-{name}",
        name.lower(),
        PARTS,
        1e-5,
        0.01,
        0.1,
        8 if name == "Drivelm" else 64,
        16_384,
        (Data(DATA[name]),),
        "OpenGVLab/InternVL internvl_chat/shell/mini_internvl",
        packed=True,
        steps=DOMAINS[name],
        checkpoint=f"OpenGVLab/InternVL2-{size}",
        hardware="8 GPUs",
        notes=("single samples were cut at 8,192 tokens; here a sample may fill the pack",),
    )


def v2pe() -> PublishedStage:
    """Long contexts with small increments of visual positions, drawn anew for every picture."""
    return PublishedStage(
        "InternVL2-2B",
        "v2pe",
        PARTS,
        5e-6,
        0.05,
        0.1,
        64,
        34_000,
        (Data("long documents with many pictures, up to 32K tokens (V2PE-Data)"),),
        "OpenGVLab/V2PE, training scripts; arXiv 2412.09616",
        packed=True,
        steps=20_000,
        pack_tiles=135,
        v2pe=True,
        checkpoint="OpenGVLab/InternVL2-2B",
        notes=("the variant for 256K tokens used ring attention, which is not offered here",),
        unverified=("trained", "batch", "warmup", "picture_tiles"),
    )
