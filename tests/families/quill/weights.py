"""How the made-up family's own files would name the parameters."""

from __future__ import annotations

from tessera.families.decoders.weights import decoder_rules
from tessera.families.keymap import KeyMap, KeyRule, renamed

TABLE = KeyMap(
    [
        KeyRule(
            ("vision.layers.#.qkv.",),
            tuple(f"siglip.blocks.#.{letter}_proj." for letter in "qkv"),
        ),
        *renamed(
            {
                "vision.layers.": "siglip.blocks.",
                "vision.": "siglip.",
                "connector.query": "qformer.query_tokens",
                "connector.": "qformer.",
            }
        ),
        *decoder_rules("llama", "llm.model.", "llm.lm_head.", 0),
    ]
)
