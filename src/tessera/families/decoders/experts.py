"""What Qwen3-MoE's and GPT-OSS's configs say of experts, sinks and windows (docs/facts/moe.md)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tessera.models.config import DecoderConfig, DecoderKind
from tessera.models.experts import ExpertsConfig
from tessera.runtime.json_file import Section

KINDS: tuple[DecoderKind, ...] = ("qwen3_moe", "gpt_oss")
FUSED = "mlp.experts.gate_up_proj"
"""End of a key where the files of Qwen3-MoE hold one tensor for all experts of a block."""
KEYS = {
    "top_k": "num_experts_per_tok",
    "experts.top_k": "num_experts_per_tok",
    "balance": "router_aux_loss_coef",
    "alpha": "swiglu_alpha",
    "limit": "swiglu_limit",
    "sparse_step": "decoder_sparse_step",
    "dense_layers.0": "mlp_only_layers",
}
"""Fields of `ExpertsConfig` as the files name them, for messages."""
SLIDING, FULL = "sliding_attention", "full_attention"


def is_fused(keys: Collection[str]) -> bool:
    """Whether files with these keys hold the experts of a block in one tensor."""
    return any(key.endswith(FUSED) for key in keys)


def read_experts(config: Section, kind: DecoderKind) -> dict[str, Any]:
    """Fields of `DecoderConfig` that a kind has beside the usual ones; {} for a dense kind.

    Raises ValueError naming file, key and remedy.
    """
    if kind not in KINDS:
        return {}
    count = "num_experts" if "num_experts" in config else "num_local_experts"
    shared = {
        "count": config.whole(count, 128),
        "top_k": config.whole("num_experts_per_tok", 8 if kind == "qwen3_moe" else 4),
        "balance": config.number("router_aux_loss_coef", 0.001),
    }
    bias = config.flag("attention_bias", kind == "gpt_oss")
    if kind == "qwen3_moe":
        return {"experts": _qwen3_moe(config, count, shared), "attention_output_bias": bias}
    experts = config.build(
        ExpertsConfig,
        KEYS | {"count": count},
        **shared,
        intermediate_size=config.whole("intermediate_size"),
        shares="chosen",
        gate="clamped",
        alpha=config.number("swiglu_alpha", 1.702),
        limit=config.number("swiglu_limit", 7.0),
        bias=True,
    )
    sliding = _sliding(config)
    return {
        "experts": experts,
        "attention_output_bias": bias,
        "attention_sinks": True,
        "sliding_layers": sliding,
        "sliding_window": config.whole("sliding_window", 128) if sliding else None,
    }


def _qwen3_moe(config: Section, count: str, shared: dict[str, Any]) -> ExpertsConfig:
    dense = config.without_nulls("mlp_only_layers").numbers("mlp_only_layers")
    return config.build(
        ExpertsConfig,
        KEYS | {"count": count, "intermediate_size": "moe_intermediate_size"},
        **shared,
        intermediate_size=config.whole("moe_intermediate_size", 768),
        shares="all_normalised" if config.flag("norm_topk_prob") else "all",
        sparse_step=config.whole("decoder_sparse_step", 1),
        dense_layers=tuple(map(int, dense)),
    )


def _sliding(config: Section) -> tuple[int, ...]:
    """Blocks with a window: as `layer_types` says, else every other one from the first."""
    depth = config.whole("num_hidden_layers")
    kinds = config.without_nulls("layer_types").texts("layer_types")
    kinds = kinds or tuple(FULL if layer % 2 else SLIDING for layer in range(depth))
    if len(kinds) != depth or not {SLIDING, FULL}.issuperset(kinds):
        raise config.wrong("layer_types", f"{depth} words are needed, each {SLIDING!r} or {FULL!r}")
    return tuple(layer for layer, kind in enumerate(kinds) if kind == SLIDING)


def expert_kind(decoder: DecoderConfig) -> DecoderKind | None:
    """The class that computes a decoder with experts, sinks or windows; None for one without any.

    Raises ValueError when no class has them as they are.
    """
    experts = decoder.experts
    limited = decoder.attention_sinks or bool(decoder.sliding_layers)
    if experts is None and not limited and not decoder.attention_output_bias:
        return None
    known = experts is not None and decoder.attention_output_bias == decoder.attention_bias
    if known and experts is not None:
        plain = experts.gate == "silu" and not experts.bias and experts.shares != "chosen"
        if plain and decoder.qk_norm and not limited:
            return "qwen3_moe"
        usual = experts.bias and experts.shares == "chosen" and not decoder.qk_norm
        everywhere = experts.layers(decoder.num_hidden_layers) == decoder.num_hidden_layers
        if experts.gate == "clamped" and usual and decoder.attention_sinks and everywhere:
            return "gpt_oss"
    raise ValueError(
        "decoder.experts, attention_sinks, sliding_layers and attention_output_bias are those of no "
        "published class (Qwen3-MoE, GPT-OSS); save in layout 'tessera'"
    )


def write_experts(decoder: DecoderConfig, kind: DecoderKind) -> dict[str, Any]:
    """The keys that `read_experts` reads, {} for a dense kind."""
    experts = decoder.experts
    if experts is None or kind not in KINDS:
        return {}
    shared = {
        "num_experts_per_tok": experts.top_k,
        "router_aux_loss_coef": experts.balance,
        "attention_bias": decoder.attention_bias,
    }
    if kind == "qwen3_moe":
        return shared | {
            "num_experts": experts.count,
            "moe_intermediate_size": experts.intermediate_size,
            "norm_topk_prob": experts.shares == "all_normalised",
            "decoder_sparse_step": experts.sparse_step,
            "mlp_only_layers": list(experts.dense_layers),
            "use_sliding_window": False,
        }
    layers = range(decoder.num_hidden_layers)
    return shared | {
        "num_local_experts": experts.count,
        "intermediate_size": experts.intermediate_size,
        "swiglu_alpha": experts.alpha,
        "swiglu_limit": experts.limit,
        "layer_types": [FULL if decoder.window_of(layer) is None else SLIDING for layer in layers],
        "sliding_window": decoder.sliding_window or 128,
    }
