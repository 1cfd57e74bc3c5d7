"""Ours against transformers' InternVL on random weights, float32: each part and the whole."""

import pytest
import torch

from tessera.models.config import DecoderConfig, VisionConfig, VLMConfig
from tessera.models.vlm import VLM, normalise
from tessera.nn.layout import Packed

transformers = pytest.importorskip("transformers", reason="the oracle: pip install -e .[dev]")

IMAGE = 7
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


def _config(kind: str, vision_kind: str, tied: bool, ps_version: str = "v2") -> VLMConfig:
    six_b = vision_kind == "6b"
    vision = VisionConfig(
        image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=48, norm_type="rms_norm" if six_b else "layer_norm", qk_normalization=six_b,
        qkv_bias=not six_b, initializer_factor=0.3,
    )  # fmt: skip
    decoder = DecoderConfig(
        vocab_size=50, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, attention_bias=kind == "qwen2", tie_word_embeddings=tied, rope_theta=1e4,
    )  # fmt: skip
    return VLMConfig(vision=vision, decoder=decoder, image_token_id=IMAGE, ps_version=ps_version)


def _theirs(config: VLMConfig, kind: str) -> torch.nn.Module:
    v, d = config.vision, config.decoder
    vision = transformers.InternVLVisionConfig(
        hidden_size=v.hidden_size, num_hidden_layers=v.num_hidden_layers, use_qk_norm=v.qk_normalization,
        num_attention_heads=v.num_attention_heads, intermediate_size=v.intermediate_size,
        attention_bias=v.qkv_bias, norm_type=v.norm_type, image_size=v.image_size, patch_size=v.patch_size,
        layer_norm_eps=v.layer_norm_eps, use_mean_pooling=True, use_absolute_position_embeddings=True,
    )  # fmt: skip
    make = transformers.Qwen2Config if kind == "qwen2" else transformers.LlamaConfig
    text = make(
        vocab_size=d.vocab_size, hidden_size=d.hidden_size, intermediate_size=d.intermediate_size,
        num_hidden_layers=d.num_hidden_layers, num_attention_heads=d.num_attention_heads,
        num_key_value_heads=d.num_key_value_heads, rms_norm_eps=d.rms_norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": d.rope_theta},
        tie_word_embeddings=d.tie_word_embeddings,
    )  # fmt: skip
    whole = transformers.InternVLConfig(
        vision_config=vision, text_config=text, image_token_id=IMAGE,
        downsample_ratio=config.downsample_ratio,        tie_word_embeddings=d.tie_word_embeddings,
    )  # fmt: skip
    return transformers.InternVLForConditionalGeneration(whole).eval()


def _copy(theirs: torch.nn.Module, ours: VLM) -> None:
    """Their random weights, spread so that no branch is negligible, under our names (facts 2.2)."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    state = theirs.state_dict()
    names = {
        "vision.embeddings.class_embedding": "model.vision_tower.embeddings.cls_token",
        "vision.embeddings.position_embedding": "model.vision_tower.embeddings.position_embeddings",
    }
    swaps = (
        ("vision.embeddings.patch_embedding", "model.vision_tower.embeddings.patch_embeddings.projection"),
        ("vision.layers", "model.vision_tower.encoder.layer"), ("attn.proj.", "attention.projection_layer."),
        ("attn.", "attention."), ("norm1", "layernorm_before"), ("norm2", "layernorm_after"), ("ls1", "lambda_1"),
        ("ls2", "lambda_2"), ("connector.norm", "model.multi_modal_projector.layer_norm"),
        ("connector", "model.multi_modal_projector"), ("decoder.lm_head", "lm_head"),
        ("decoder", "model.language_model"),
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            target = names.get(name, name)
            for own, other in swaps:
                if name not in names and not (own == "attn." and "self_attn" in target):
                    target = target.replace(own, other)
            if ".qkv." in name:
                parts = [state[target.replace("qkv", f"{x}_proj")] for x in "qkv"]
                parameter.copy_(torch.cat(parts))
            else:
                parameter.copy_(state[target])


def _pair(kind: str, vision_kind: str, tied: bool = False) -> tuple[VLM, torch.nn.Module]:
    config = _config(kind, vision_kind, tied)
    ours, theirs = VLM(config).eval(), _theirs(config, kind)
    _copy(theirs, ours)
    return ours, theirs


@pytest.mark.parametrize("vision_kind", ["300m", "6b"])
def test_vision_states(vision_kind: str) -> None:
    ours, theirs = _pair("qwen2", vision_kind)
    pixels = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        expected = theirs.model.vision_tower(pixels, output_hidden_states=True)
        for layer in range(4):
            torch.testing.assert_close(ours.vision(pixels, layer), expected.hidden_states[layer], **TOLERANCE)
        torch.testing.assert_close(ours.vision(pixels), expected.last_hidden_state, **TOLERANCE)


def test_connector_features() -> None:
    ours, theirs = _pair("qwen2", "300m")
    tiles = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    pixels = normalise(tiles, ours.config.mean, ours.config.std, torch.float32)
    with torch.no_grad():
        expected = theirs.model.get_image_features(pixel_values=pixels)
    expected = getattr(expected, "pooler_output", expected)
    with torch.no_grad():
        got = ours.see(tiles)
    torch.testing.assert_close(got.flatten(0, 1), torch.cat(list(expected)).view(-1, 48), **TOLERANCE)


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
@pytest.mark.parametrize("vision_kind", ["300m", "6b"])
@pytest.mark.parametrize("tied", [False, True])
def test_logits(kind: str, vision_kind: str, tied: bool) -> None:
    ours, theirs = _pair(kind, vision_kind, tied)
    tiles = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    tokens = ours.config.tokens_per_tile
    ids = torch.tensor([3, 4, *[IMAGE] * tokens, 5, *[IMAGE] * tokens, 9, 10, 11])
    pixels = normalise(tiles, ours.config.mean, ours.config.std, torch.float32)
    with torch.no_grad():
        expected = theirs(input_ids=ids[None], pixel_values=pixels).logits[0]
        got = ours.logits(ours(ids, Packed((len(ids),)), tiles=tiles))
    torch.testing.assert_close(got, expected, **TOLERANCE)


def test_packed_samples_equal_single_ones() -> None:
    """Isolation against the oracle: each sample of a pack scores as it does alone in transformers."""
    ours, theirs = _pair("qwen2", "300m")
    tokens = ours.config.tokens_per_tile
    samples = [[3, *[IMAGE] * tokens, 4, 5], [6, 8, 9], [1, *[IMAGE] * tokens, 2]]
    tiles = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    stream = torch.tensor([i for sample in samples for i in sample])
    pixels = normalise(tiles, ours.config.mean, ours.config.std, torch.float32)
    with torch.no_grad():
        packed = ours.logits(ours(stream, Packed(tuple(map(len, samples))), tiles=tiles))
        start, seen = 0, 0
        for sample in samples:
            media = {}
            if IMAGE in sample:
                media, seen = {"pixel_values": pixels[seen : seen + 1]}, seen + 1
            alone = theirs(input_ids=torch.tensor([sample]), **media).logits[0]
            torch.testing.assert_close(packed[start : start + len(sample)], alone, **TOLERANCE)
            start += len(sample)
