"""Own and other projects' parameter names, as one two-way table of prefixes (facts 2.1).

Inside the prefixes the names agree: our modules carry the released names, the ViT's fused `qkv` included.
"""

from __future__ import annotations

from collections.abc import Iterable

OFFICIAL: tuple[tuple[str, str], ...] = (
    ("vision.embeddings.", "vision_model.embeddings."),
    ("vision.layers.", "vision_model.encoder.layers."),
    ("connector.norm.", "mlp1.0."),
    ("connector.linear_1.", "mlp1.1."),
    ("connector.linear_2.", "mlp1.3."),
    ("decoder.lm_head.", "language_model.lm_head."),
    ("decoder.", "language_model.model."),
)
"""(own prefix, official prefix); the first that matches decides, so the narrower stand first."""

BARE_VISION: tuple[tuple[str, str], ...] = (
    ("vision.embeddings.", "embeddings."),
    ("vision.layers.", "encoder.layers."),
)
"""A released InternViT on its own."""

BARE_DECODER: tuple[tuple[str, str], ...] = (("decoder.lm_head.", "lm_head."), ("decoder.", "model."))
"""A released LLaMA or Qwen2 language model on its own."""

OWN: tuple[tuple[str, str], ...] = (
    ("vision.", "vision."),
    ("connector.", "connector."),
    ("decoder.", "decoder."),
)

IGNORED_ENDINGS = (".rotary_emb.inv_freq",)
"""Buffers that old files carry and that follow from the config."""


class KeyMap:
    """Names between the model and a layout, both ways."""

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self.pairs = pairs

    def to_layout(self, own: str) -> str:
        """The layout's name of an own parameter; ValueError when the table has no row for it."""
        for ours, theirs in self.pairs:
            if own.startswith(ours):
                return theirs + own.removeprefix(ours)
        raise ValueError(
            f"parameter {own!r} has no name in this layout: add a row to tessera.checkpoints.keymap"
        )

    def to_own(self, key: str) -> str | None:
        """Our name of a key in a file, None for a key that the table does not know."""
        for ours, theirs in self.pairs:
            if key.startswith(theirs):
                return ours + key.removeprefix(theirs)
        return None

    def own_names(self, keys: Iterable[str]) -> tuple[dict[str, str], list[str]]:
        """(own name -> key, keys that no row knows); keys that follow from the config are left out."""
        known: dict[str, str] = {}
        unknown: list[str] = []
        for key in keys:
            if key.endswith(IGNORED_ENDINGS):
                continue
            own = self.to_own(key)
            if own is None:
                unknown.append(key)
            else:
                known[own] = key
        return known, unknown
