"""How the released files name the pair's parameters (docs/facts/pair.md)."""

from tessera.families.keymap import KeyMap, renamed

TABLE = KeyMap(
    renamed(
        {
            "vision.embeddings.": "vision_model.embeddings.",
            "vision.layers.": "vision_model.encoder.layers.",
            "qllama.lm_head.": "qllama.lm_head.",
            "qllama.": "qllama.model.",
            "": "",
        }
    )
)
"""Queries, heads, text projection and scale have the same names there."""
POSITIONS = "vision_model.embeddings.position_embedding"
