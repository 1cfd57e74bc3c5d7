"""Small rules of the model: shuffle order, fusion counts, selected layers, first values."""

import pytest
import torch

from tessera.models.config import DecoderConfig, VisionConfig
from tessera.models.connectors.mlp import pixel_shuffle
from tessera.models.decoder import Decoder
from tessera.models.fusion import fuse
from tessera.models.initialise import initialise
from tessera.models.vision.internvit import VisionTransformer
from tessera.models.vlm import normalise
from tessera.nn.attention.layout import Packed

VISION = VisionConfig(
    image_size=32,
    patch_size=8,
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=32,
)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_pixel_shuffle_follows_the_gather_rule(version: str) -> None:
    """docs/facts/architecture.md: out[n, i*w+j, (2a+b)*C :] = in[n, 2i+a, 2j+b, :]; v1 lists the tokens
    transposed."""
    features = torch.arange(2 * 4 * 6 * 3).view(2, 4, 6, 3)
    out = pixel_shuffle(features, 2, version)
    for i in range(2):
        for j in range(3):
            token = i * 3 + j if version == "v2" else j * 2 + i
            for a in range(2):
                for b in range(2):
                    start = (2 * a + b) * 3
                    expected = features[:, 2 * i + a, 2 * j + b]
                    assert torch.equal(out[:, token, start : start + 3], expected)


def test_fusion_stops_with_both_counts() -> None:
    ids = torch.tensor([1, 9, 9, 2])
    with pytest.raises(ValueError, match="2 <IMG_CONTEXT> tokens .* but 3 visual features"):
        fuse(torch.zeros(4, 2), ids, torch.ones(3, 2), 9)
    fused = fuse(torch.zeros(4, 2), ids, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 9)
    assert fused.tolist() == [[0, 0], [1, 2], [3, 4], [0, 0]]


def test_selected_layer_runs_no_later_one() -> None:
    model = VisionTransformer(VISION).eval()
    pixels = torch.randn(2, 3, 32, 32)
    calls: list[int] = []
    for index, layer in enumerate(model.layers):
        layer.register_forward_hook(lambda *_, i=index: calls.append(i))
    early = model(pixels, select_layer=-2)
    assert calls == [0, 1]
    tiles = Packed((1 + model.config.grid**2,) * 2, causal=False)
    torch.testing.assert_close(model.layers[2](early, tiles), model(pixels))
    with pytest.raises(ValueError, match="select_layer"):
        model(pixels, select_layer=4)


def test_positions_are_interpolated_for_another_tile_side() -> None:
    model = VisionTransformer(VISION).eval()
    assert model(torch.randn(1, 3, 48, 32)).shape == (1, 1 + 24, 16)
    same = model.embeddings.positions(4, 4)
    assert same is model.embeddings.position_embedding


def test_drop_path_drops_whole_branches_of_tiles() -> None:
    torch.manual_seed(0)
    model = VisionTransformer(VISION.model_copy(update={"drop_path_rate": 0.5})).train()
    block = model.layers[-1]
    branch = torch.ones(64, 1, 1)
    kept = block._maybe_drop(branch)
    assert set(kept.flatten().tolist()) == {0.0, 2.0}
    assert model.layers[0].drop_path == 0.0


def test_normalise_is_the_published_formula() -> None:
    tiles = torch.randint(0, 256, (2, 4, 4, 3), dtype=torch.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    got = normalise(tiles, mean, std, torch.float32)
    expected = (tiles[1, 2, 3, 0].item() / 255 - 0.485) / 0.229
    assert got.shape == (2, 3, 4, 4)
    assert got[1, 0, 2, 3].item() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="uint8"):
        normalise(tiles.float(), mean, std, torch.float32)


def test_tied_heads_share_one_matrix_and_seeds_decide_the_start() -> None:
    config = DecoderConfig(
        vocab_size=20, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=True,
    )  # fmt: skip
    one, two, other = Decoder(config), Decoder(config), Decoder(config)
    assert one.lm_head.weight is one.embed_tokens.weight
    initialise(one, 1), initialise(two, 1), initialise(other, 2)
    pairs = list(zip(one.parameters(), two.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


def test_configs_name_the_fields_that_disagree() -> None:
    with pytest.raises(ValueError, match="image_size 30 is not a multiple of patch_size 8"):
        VisionConfig(image_size=30, patch_size=8)
    with pytest.raises(ValueError, match="use_moe"):
        VisionConfig(use_moe=True)  # type: ignore[call-arg]
