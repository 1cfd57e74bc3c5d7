"""Mixed preference optimization: the last stage of 2.5-MPO and 3, and the 8B of 2 that it was made for.

`stage("InternVL3-8B")` of a model in `MODELS`. All parts are trained on pairs of answers, in one pass.
Source: docs/facts/recipes.md, preference training; arXiv 2411.10442.
"""

from dataclasses import dataclass

from tessera.recipes.internvl.stage import PARTS, Data, PublishedStage

SHELL = "OpenGVLab/InternVL internvl_chat/shell"


@dataclass(frozen=True)
class Preferred:
    """Models that were made alike: their names and those that they start from, with {} for a size."""

    made: str
    start: str
    sizes: str
    rate: float
    length: int
    """Most tokens of an answer with its prompt."""
    pairs: str
    source: str


_2_5, _3, _USED = "InternVL2_5-{}", "InternVL3-{}", "MMPR-v1.2, about 300,000 of them"
SERIES = (
    Preferred("InternVL2-{}-MPO", "InternVL2-{}", "8B", 5e-6, 6144, "MMPR", "internvl2.0_mpo"),
    Preferred(f"{_2_5}-MPO", _2_5, "1B 2B 4B 8B 26B 38B 78B", 1e-6, 8192, "MMPR-v1.1", "internvl2.5_mpo"),
    Preferred(_3, f"{_3}-Instruct", "1B 2B 8B 9B 14B", 2e-7, 12_288, _USED, "internvl3.0/mpo"),
    Preferred(_3, f"{_3}-Instruct", "38B 78B", 2e-7, 8192, _USED, "internvl3.0/mpo"),
)
MODELS = {row.made.format(size): (row, size) for row in SERIES for size in row.sizes.split()}
LARGE, LARGEST = ("26B", "38B", "78B"), ("38B", "78B")
"""With drop path 0.4 instead of 0.1; with 512 pairs a step instead of 256."""


def stage(model: str) -> PublishedStage:
    """The preference stage that made a model. KeyError for a model that none made."""
    row, size = MODELS[model]
    return PublishedStage(
        model,
        "mpo",
        PARTS,
        row.rate,
        0.05,
        0.4 if size in LARGE else 0.1,
        512 if size in LARGEST else 256,
        row.length,
        (Data(f"pairs of answers: {row.pairs}"),),
        f"{SHELL}/{row.source}",
        checkpoint=f"OpenGVLab/{row.start.format(size)}",
        method="mpo",
        notes=("published steps have a pair a device, padded; here pairs share packs",),
    )
