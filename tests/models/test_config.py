"""Decoder configs: lengths, scaling fields, and files that were written before they existed."""

from __future__ import annotations

from typing import Any

import pytest

from tessera.models.config import DecoderConfig

SHAPE: dict[str, Any] = {
    "vocab_size": 10, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
}  # fmt: skip


def config(**fields: Any) -> DecoderConfig:
    return DecoderConfig(**{**SHAPE, **fields})


def longrope(**fields: Any) -> dict[str, Any]:
    return {"kind": "longrope", "short_factor": (1.0, 1.0), "long_factor": (2.0, 2.0), **fields}


def test_a_config_without_the_new_fields_is_a_plain_decoder() -> None:
    plain = config()
    assert (plain.architecture, plain.qk_norm, plain.rotary_scaling) == ("qwen2", False, None)
    assert plain.trained_length == plain.longest_context == 4096


@pytest.mark.parametrize(
    ("scaling", "trained", "longest", "factor"),
    [
        ({"kind": "dynamic", "factor": 2.5}, 4096, 10240, 2.5),
        ({"kind": "linear", "factor": 4.0}, 4096, 16384, 4.0),
        ({"kind": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}, 4096, 16384, 4.0),
        ({"kind": "llama3", "factor": 8.0, "original_max_position_embeddings": 256}, 256, 4096, 8.0),
        (longrope(original_max_position_embeddings=256), 256, 4096, 16.0),
        (longrope(original_max_position_embeddings=256, factor=2.0), 256, 4096, 2.0),
    ],
)
def test_lengths_and_factors(scaling: dict[str, Any], trained: int, longest: int, factor: float) -> None:
    """Phi-3 names no factor: it is the longest over the trained length."""
    made = config(rope_scaling=scaling)
    assert (made.trained_length, made.longest_context) == (trained, longest)
    assert made.rotary_scaling is not None
    assert (made.rotary_scaling.trained_length, made.rotary_scaling.factor) == (trained, factor)
    assert DecoderConfig.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"head_dim": 5}, "head_dim 5 is odd"),
        ({"rope_scaling": {"kind": "dynamic", "factor": 0.5}}, "factor = 0.5: contexts grow"),
        ({"rope_scaling": {"kind": "ntk"}}, "kind"),
        (
            {"rope_scaling": {"kind": "llama3", "low_freq_factor": 4.0}},
            "low_freq_factor = 4.0 must lie below",
        ),
        (
            {"rope_scaling": longrope(short_factor=(1.0,))},
            "short_factor has 1 entries .* 2 pairs of channels",
        ),
        ({"rope_scaling": {"kind": "longrope"}}, "short_factor has 0 entries"),
        ({"num_key_value_heads": 3}, "num_attention_heads 4 is not a multiple of num_key_value_heads 3"),
    ],
)
def test_what_cannot_be_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**fields)
