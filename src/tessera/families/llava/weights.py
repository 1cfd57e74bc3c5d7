"""Key tables: LLaVA's names, the ViT inside or in a folder of its own (docs/facts/llava.md)."""

from collections.abc import Collection, Iterator

from tessera.families.decoders.weights import decoder_rules
from tessera.families.internvl import weights as internvl
from tessera.families.keymap import KeyMap, renamed
from tessera.models.config import DecoderConfig

TOWER = "model.vision_tower.vision_tower."
"""What stands before InternViT's own names: the module of LLaVA's tower in LLaVA's model."""
PROJECTOR = "model.mm_projector."


def official_table() -> KeyMap:
    """LLaVA's layout: a LLaMA with two modules more."""
    vision = {"vision.embeddings.": f"{TOWER}embeddings.", "vision.layers.": f"{TOWER}encoder.layers."}
    return KeyMap(
        [
            *renamed(vision | {"connector.": PROJECTOR}),
            *decoder_rules("llama", "model.", "lm_head.", 0),
        ]
    )


def part_tables(part: str, decoder: DecoderConfig | None, keys: Collection[str]) -> Iterator[KeyMap]:
    """Whole checkpoints; parts alone are those that InternVL's folder reads."""
    yield official_table()


CARD_NAMES = (
    ("model.vision_tower.vision_tower", "vision"),
    ("model.mm_projector", "connector"),
    *(pair for pair in internvl.CARD_NAMES if pair[1].startswith("decoder")),
)
"""(prefix in device maps of LLaVA's form, own prefix)."""
