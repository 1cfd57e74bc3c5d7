"""Counts against modules that are really built, on the meta device or at toy size."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from tessera.models.accounting import GROUP, bytes_to_load, count_parameters, kv_cache_bytes_per_token
from tessera.models.config import DecoderConfig, VisionConfig, VLMConfig
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.nn import quantised
from tessera.nn.codes import group_of
from tessera.nn.linear import make_linear
from tessera.nn.quantised import Int4Linear, Int8Linear

SMALL_VIT = VisionConfig()
LARGE_VIT = VisionConfig(
    hidden_size=3200, num_hidden_layers=45, num_attention_heads=25, intermediate_size=12800,
    norm_type="rms_norm", qk_normalization=True, qkv_bias=False,
)  # fmt: skip
QWEN2_5_05B = DecoderConfig(
    vocab_size=151674, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
    num_key_value_heads=2,
)  # fmt: skip
INTERNLM2_20B = DecoderConfig(
    architecture="internlm2", vocab_size=92553, hidden_size=6144, intermediate_size=16384,
    num_hidden_layers=48, num_attention_heads=48, num_key_value_heads=8, attention_bias=False,
)  # fmt: skip
QWEN3_06B = DecoderConfig(
    architecture="qwen3", vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28,
    num_attention_heads=16, num_key_value_heads=8, head_dim=128, attention_bias=False, qk_norm=True,
    tie_word_embeddings=True,
)  # fmt: skip
MODELS = {
    "InternVL3-1B": VLMConfig(vision=SMALL_VIT, decoder=QWEN2_5_05B, image_token_id=151667),
    "InternVL2-26B": VLMConfig(vision=LARGE_VIT, decoder=INTERNLM2_20B, image_token_id=92546),
    "InternVL3_5-1B": VLMConfig(vision=SMALL_VIT, decoder=QWEN3_06B, image_token_id=151671),
}
TOY = VLMConfig(
    vision=VisionConfig(
        image_size=16, patch_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=32,
    ),
    decoder=DecoderConfig(
        vocab_size=30, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, qk_norm=True,
    ),
    image_token_id=7,
)  # fmt: skip


def numbers(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_counts_are_those_of_the_modules(name: str) -> None:
    with torch.device("meta"):
        built = VLM(MODELS[name])
    assert count_parameters(MODELS[name]) == {
        "vision": numbers(built.vision),
        "connector": numbers(built.connector),
        "decoder": numbers(built.decoder),
        "embeddings": built.decoder.embed_tokens.weight.numel(),
        "total": numbers(built),
    }
    assert bytes_to_load(MODELS[name], "bf16") == 2 * numbers(built)


@pytest.mark.parametrize(
    ("name", "part", "published"),
    [
        ("InternVL3-1B", "vision", 0.304e9),
        ("InternVL2-26B", "vision", 5.54e9),
        ("InternVL2-26B", "total", 25.5e9),
    ],
)
def test_published_counts(name: str, part: str, published: float) -> None:
    """docs/facts/architecture.md and docs/facts/models.md; all released models are compared in
    tests/families."""
    assert count_parameters(MODELS[name])[part] == pytest.approx(published, rel=0.01)


def test_int8_bytes_are_those_of_quantised_blocks() -> None:
    """Linears of blocks in int8 with their scales; connector, head and embeddings stay."""
    built = VLM(TOY).to(torch.bfloat16)
    for block in (*built.vision.layers, *built.decoder.layers):
        for name, module in list(block.named_modules()):
            if isinstance(module, nn.Linear):
                block.set_submodule(name, make_linear("int8", module.weight, module.bias))
    assert sum(isinstance(module, Int8Linear) for module in built.modules()) == 3 * 4 + 2 * 7
    tensors = [*built.parameters(), *built.buffers()]
    assert bytes_to_load(TOY, "int8") == sum(tensor.nbytes for tensor in tensors)
    with pytest.raises(ValueError, match="stored = 'int2': give bf16, int8 or int4"):
        bytes_to_load(TOY, "int2")  # type: ignore[arg-type]


def test_int4_bytes_are_those_of_quantised_blocks() -> None:
    """At a released shape, without memory; the table of levels that each layer has is not counted."""
    with without_memory():
        built = VLM(MODELS["InternVL3-1B"]).to(torch.bfloat16)
        for block in (*built.vision.layers, *built.decoder.layers):
            for name, module in list(block.named_modules()):
                if isinstance(module, nn.Linear):
                    out, inner = module.weight.shape
                    packed = torch.empty(out, inner // 2, dtype=torch.uint8)
                    scale = torch.empty(out, inner // group_of(inner), dtype=torch.bfloat16)
                    block.set_submodule(name, Int4Linear(packed, scale, module.bias))
    kept = {*built.parameters(), *(t for n, t in built.named_buffers() if not n.endswith("pairs"))}
    assert bytes_to_load(MODELS["InternVL3-1B"], "int4") == sum(tensor.nbytes for tensor in kept)
    assert GROUP == quantised.GROUP


def test_cache_bytes() -> None:
    """24 layers, 2 key-value heads of 64, keys and values, 2 bytes."""
    assert kv_cache_bytes_per_token(MODELS["InternVL3-1B"]) == 24 * 2 * 64 * 2 * 2
    assert kv_cache_bytes_per_token(MODELS["InternVL3-1B"], torch.float32) == 24 * 2 * 64 * 2 * 4


def test_counting_is_quick_enough_for_a_table_of_all_models() -> None:
    start = time.process_time()
    count_parameters(MODELS["InternVL2-26B"])
    assert time.process_time() - start < 0.5
