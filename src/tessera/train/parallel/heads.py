"""Whether a decoder's heads can be shared by so many processes."""

from tessera.models.config import DecoderConfig


def require_shares(field: str, share: int, config: DecoderConfig, *widths: int) -> None:
    """ValueError naming the field of `parallel` when heads, key-value heads or widths don't divide by it."""
    if share > 1 and config.attention_sinks:
        raise ValueError(f"parallel.{field} = {share}: heads with sinks are not shared out; use shard")
    if share > 1 and config.experts is not None:
        raise ValueError(f"parallel.{field} = {share}: experts are not shared out like that; use shard")
    if share > 1 and config.visual_attention:
        raise ValueError(
            f"parallel.{field} = {share}: visual_attention is not shared out like that; use shard"
        )
    for what, count in (
        ("attention heads", config.num_attention_heads),
        ("key-value heads", config.num_key_value_heads),
        *(("channels of the MLP", width) for width in widths),
    ):
        if count % share:
            raise ValueError(f"parallel.{field} = {share} does not divide {count} {what}; take a divisor")
