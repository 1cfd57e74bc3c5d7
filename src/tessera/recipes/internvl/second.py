"""The second fine-tune: a released model goes on with your data, in full or through LoRA.

`full("InternVL2_5-8B")` and `lora("InternVL2_5-8B")`. Both freeze the ViT; LoRA freezes the connector, too.
Source: docs/facts/recipes.md, second fine-tune.
"""

from dataclasses import dataclass, replace
from typing import Any

from tessera.families.catalogue import get_entry
from tessera.recipes.internvl.stage import Data, PublishedStage

SHELL = "OpenGVLab/InternVL internvl_chat/shell"
OWN_DATA = (Data("none: for your own task"),)
RANK = 16
DERIVED = ("lora_rank", "rate", "decay", "drop_path", "batch", "length", "steps", "warmup")
"""What no script tells of LoRA for InternVL 3."""
COCO = ("InternVL2-2B", "InternVL2_5-2B")
"""Models with a LoRA demonstration on captions of COCO."""


@dataclass(frozen=True)
class Tuning:
    """What differs between series and sizes."""

    rate: float
    decay: float
    drop_path: float
    length: int
    picture_tiles: int
    source: str
    lora_published: bool = True


def _series(base: str, sizes: str, *row: object) -> dict[str, Tuning]:
    return {f"{base}{size}": Tuning(*row) for size in sizes.split()}  # type: ignore[arg-type]


_MINI = "Mini-InternVL-Chat-{}-V1-5"
_V2, _V2_5, _V3 = (f"{SHELL}/internvl{version}/2nd_finetune" for version in ("2.0", "2.5", "3.0"))
SERIES: dict[str, Tuning] = {
    "InternVL-Chat-V1-2-Plus": Tuning(1e-5, 0.05, 0.0, 2048, 1, f"{SHELL}/internvl1.2/2nd_finetune"),
    _MINI.format("2B"): Tuning(4e-5, 0.01, 0.1, 4096, 12, f"{SHELL}/internvl1.5/2nd_finetune"),
    _MINI.format("4B"): Tuning(4e-5, 0.05, 0.1, 4096, 12, f"{SHELL}/internvl1.5/2nd_finetune"),
    "InternVL-Chat-V1-5": Tuning(2e-5, 0.05, 0.4, 4096, 12, f"{SHELL}/internvl1.5/2nd_finetune"),
    **_series("InternVL2-", "1B 2B 4B", 4e-5, 0.01, 0.1, 4096, 6, _V2),
    **_series("InternVL2-", "8B", 4e-5, 0.05, 0.1, 4096, 6, _V2),
    **_series("InternVL2-", "26B 40B Llama3-76B", 2e-5, 0.05, 0.4, 4096, 6, _V2),
    **_series("InternVL2_5-", "1B 2B 4B", 4e-5, 0.01, 0.1, 8192, 6, _V2_5),
    **_series("InternVL2_5-", "8B", 4e-5, 0.05, 0.1, 8192, 6, _V2_5),
    **_series("InternVL2_5-", "26B 38B 78B", 2e-5, 0.05, 0.4, 8192, 6, _V2_5),
    **_series("InternVL3-", "1B", 1e-5, 0.05, 0.0, 16_384, 12, _V3, False),
    **_series("InternVL3-", "2B 8B 9B", 2e-5, 0.05, 0.0, 16_384, 12, _V3, False),
    **_series("InternVL3-", "14B", 2e-5, 0.05, 0.1, 16_384, 12, _V3, False),
    **_series("InternVL3-", "38B", 2e-5, 0.05, 0.2, 16_384, 12, _V3, False),
    **_series("InternVL3-", "78B", 2e-5, 0.05, 0.4, 16_384, 12, _V3, False),
}
"""Model → its published tuning."""


def full(model: str) -> PublishedStage:
    """Connector and decoder on your data. KeyError for a model without a published tuning."""
    row = SERIES[model]
    return PublishedStage(
        model,
        "second_full",
        ("connector", "decoder"),
        row.rate,
        row.decay,
        row.drop_path,
        128,
        row.length,
        OWN_DATA,
        row.source,
        picture_tiles=row.picture_tiles,
        checkpoint=get_entry(model).hub,
    )


def lora(model: str) -> PublishedStage:
    """Factors of rank 16 at every linear layer of the decoder; all else as `full`, without drop path."""
    notes: tuple[str, ...] = ("where a published file fuses layers, here each has factors of its own",)
    if not SERIES[model].lora_published:
        notes += ("no LoRA script was published for this model: derived from the others",)
    change: dict[str, Any] = {
        "name": "second_lora",
        "trained": (),
        "drop_path": 0.0,
        "batch": 16,
        "lora_rank": RANK,
    }
    unverified = () if SERIES[model].lora_published else DERIVED
    return replace(full(model), **change, notes=notes, unverified=unverified)


def coco_lora(model: str) -> PublishedStage:
    """The demonstration on captions, of a model in `COCO`: a higher rank and larger steps."""
    data = (Data("COCO captions (Karpathy's training split)"),)
    return replace(lora(model), name="coco_lora", lora_rank=128, batch=512, data=data)
