"""Nested language-model configs: literal published forms read, every scaling written and read again."""

from __future__ import annotations

from typing import Any

import pytest

from tessera.families.decoders.config import published_kind, read_decoder, write_decoder
from tessera.families.decoders.rope import read_scaling, rope_parameters, rope_scaling
from tessera.models.config import DecoderConfig
from tessera.nn.rope_scaling import RopeScaling
from tessera.runtime.json_file import Section

SIZES = {
    "vocab_size": 92553,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
}
PUBLISHED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "InternLM2 in version 4's words (docs/facts/models.md)": (
        {
            "architectures": ["InternLM2ForCausalLM"],
            "model_type": "internlm2",
            "bias": False,
            "rope_theta": 1000000,
            "rope_scaling": {"factor": 2.0, "type": "dynamic"},
            "rms_norm_eps": 1e-05,
            "max_position_embeddings": 32768,
        },
        {
            "architecture": "internlm2",
            "rope_theta": 1e6,
            "rms_norm_eps": 1e-5,
            "rope_scaling": RopeScaling(kind="dynamic", factor=2.0),
        },
    ),
    "Qwen2 has biases whatever it says": (
        {"model_type": "qwen2", "rope_theta": 1e6, "sliding_window": 32768, "use_sliding_window": False},
        {"architecture": "qwen2", "attention_bias": True, "rope_theta": 1e6},
    ),
    "Qwen3 in version 5's words": (
        {
            "architectures": ["Qwen3ForCausalLM"],
            "head_dim": 128,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
            "rope_theta": 5.0,
        },
        {"architecture": "qwen3", "qk_norm": True, "rope_theta": 1e6, "head_dim": None},
    ),
    "InternLM3": (
        {"architectures": ["InternLM3ForCausalLM"], "head_dim": 64, "qkv_bias": True, "rope_theta": 5e7},
        {"architecture": "internlm3", "head_dim": 64, "attention_bias": True, "rope_theta": 5e7},
    ),
    "LLaMA's class defaults": (
        {"architectures": ["LlamaForCausalLM"]},
        {"architecture": "llama", "rope_theta": 1e4, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6},
    ),
    "Phi-3 with three keys, the stretch from two lengths": (
        {
            "architectures": ["Phi3ForCausalLM"],
            "rope_scaling": {"type": "su", "short_factor": [1.0] * 64, "long_factor": [2.0] * 64},
            "original_max_position_embeddings": 4096,
            "max_position_embeddings": 131072,
            "sliding_window": 262144,
        },
        {
            "architecture": "phi3",
            "rms_norm_eps": 1e-5,
            "rope_scaling": RopeScaling(
                kind="longrope",
                factor=32.0,
                original_max_position_embeddings=4096,
                short_factor=(1.0,) * 64,
                long_factor=(2.0,) * 64,
            ),
        },
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_forms(name: str) -> None:
    given, expected = PUBLISHED[name]
    decoder = read_decoder(Section("llm_config", SIZES | given))
    for field, value in (SIZES | {"attention_bias": False, "qk_norm": False} | expected).items():
        assert getattr(decoder, field) == value, field
    assert not decoder.tie_word_embeddings, "the layouts decide that from the tensors"


SCALINGS = [
    None,
    RopeScaling(kind="linear", factor=4.0),
    RopeScaling(kind="dynamic", factor=3.0),
    RopeScaling(
        kind="llama3",
        factor=8.0,
        low_freq_factor=1.5,
        high_freq_factor=5.0,
        original_max_position_embeddings=8192,
    ),
    RopeScaling(kind="yarn", factor=4.0, beta_fast=30.0, beta_slow=2.0, original_max_position_embeddings=64),
    RopeScaling(kind="yarn", factor=4.0, attention_factor=1.25, original_max_position_embeddings=64),
    RopeScaling(
        kind="longrope",
        factor=7.0,  # not the ratio of the lengths
        attention_factor=1.5,
        original_max_position_embeddings=64,
        short_factor=(1.0, 2.0),
        long_factor=(3.0, 4.0),
    ),
]


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda s: s.kind if s else "none")
def test_scalings_survive_both_forms(scaling: RopeScaling | None) -> None:
    decoder = DecoderConfig(
        architecture="phi3",
        vocab_size=10,
        hidden_size=16,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        attention_bias=False,
        rope_theta=123.0,
        rope_scaling=scaling,
        max_position_embeddings=128,
    )
    section = write_decoder(decoder, "phi3", {})
    older = section | {"rope_scaling": rope_scaling(decoder)}
    newer = {k: v for k, v in section.items() if k != "rope_theta"}
    newer |= {"rope_parameters": rope_parameters(decoder)}
    for form in (older, newer):
        assert read_scaling(Section("x", form)) == scaling
        assert read_decoder(Section("x", form)) == decoder


def test_the_class_that_computes_what_a_decoder_computes() -> None:
    """LLaMA's biases include the output's, Qwen2 always has its three: the arithmetic decides."""
    decoder = read_decoder(Section("x", SIZES | {"architectures": ["LlamaForCausalLM"]}))

    def kind(**changes: Any) -> str:
        return published_kind(decoder.model_copy(update=changes))

    assert kind() == "llama" and kind(attention_bias=True) == "qwen2"
    assert kind(architecture="qwen2") == "llama"
    assert kind(architecture="internlm3", attention_bias=True) == "internlm3"
    assert kind(architecture="phi3") == "phi3" and kind(qk_norm=True) == "qwen3"
    with pytest.raises(ValueError, match="no published class has both"):
        kind(qk_norm=True, attention_bias=True)
