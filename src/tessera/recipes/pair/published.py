"""What the published stages of 1.0's pair share (docs/facts/pair.md)."""

from tessera.train.objective.contract import ManifestSpec
from tessera.train.recipe import Start, to_fill
from tessera.train.update.rules import Rule

NEW = r"^query_tokens|^qllama\..*\.cross_attn\.|^clip_projector2\.|^itm_head\.|^logit_scale"
"""What stage 2 adds and trains: queries, their cross-attention, and the heads behind them."""
UNUSED = r"^query_tokens|^qllama\..*\.cross_attn\.|^clip_projector2\.|^itm_head\.|^qllama\.lm_head\."
"""What stage 1 has no use for."""


def pairs_of(published: str) -> tuple[ManifestSpec, ...]:
    """The user's manifest of pictures and captions; `published` is what the authors took."""
    return (ManifestSpec(meta=to_fill(f"manifest of pictures with captions; published: {published}")),)


def pair_from(what: str) -> Start:
    """The folder of a pair."""
    return Start(checkpoint=to_fill(f"folder of a pair; published: {what}"))


def by_towers(pictures: float, texts: float, decay: float) -> tuple[Rule, ...]:
    """Rates of the picture side and the text side; what stage 1 has no use for is frozen."""
    return (
        Rule(pattern=UNUSED),
        Rule(pattern=r"^(vision|clip_projector)\.", learning_rate=pictures, weight_decay=decay),
        Rule(pattern=".", learning_rate=texts, weight_decay=decay),
    )
