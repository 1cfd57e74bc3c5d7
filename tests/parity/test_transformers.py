"""Ours against transformers' InternVL on random weights, float32: each part and the whole."""

import pytest
import torch

from tessera.models.config import DecoderConfig, VisionConfig, VLMConfig
from tessera.models.vlm import VLM, normalise
from tessera.nn.attention.layout import Packed
from tessera.peers.transformers_twin import twin

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
        qk_norm=kind == "qwen3", head_dim=16 if kind == "qwen3" else None,
    )  # fmt: skip
    return VLMConfig(vision=vision, decoder=decoder, image_token_id=IMAGE, ps_version=ps_version)


def _spread(ours: VLM) -> VLM:
    """Random weights, wide enough that no branch is negligible."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    return ours


def _pair(kind: str, vision_kind: str, tied: bool = False) -> tuple[VLM, torch.nn.Module]:
    ours = _spread(VLM(_config(kind, vision_kind, tied)).eval())
    return ours, twin(ours)


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


@pytest.mark.parametrize("kind", ["qwen2", "llama", "qwen3"])
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
