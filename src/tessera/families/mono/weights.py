"""Key tables: InternVL's official names, and those of the visual experts (docs/facts/mono.md)."""

from collections.abc import Collection, Iterator

from tessera.families.decoders.weights import BLOCK
from tessera.families.internvl import weights as internvl
from tessera.families.keymap import KeyMap, renamed
from tessera.models.config import DecoderConfig, DecoderKind

EXPERTS = "language_model.model.layers.#.feed_forward_ve."


def official_table(kind: DecoderKind, head_width: int) -> KeyMap:
    """The layout of the releases."""
    names = {"gate_proj.": "w1.", "down_proj.": "w2.", "up_proj.": "w3."}
    experts = renamed({f"{BLOCK}mlp_visual.{own}": EXPERTS + theirs for own, theirs in names.items()})
    return KeyMap([*experts, *internvl.official_table(kind, head_width).rules])


def part_tables(part: str, decoder: DecoderConfig | None, keys: Collection[str]) -> Iterator[KeyMap]:
    """Whole checkpoints in the layout of the releases; parts alone were not published."""
    if decoder is None or decoder.visual_experts:
        kind: DecoderKind = decoder.architecture if decoder else "internlm2"
        yield official_table(kind, decoder.head_width if decoder else 0)
