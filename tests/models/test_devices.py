"""A model whose parts lie on several devices: where tensors travel, and that the answer stays the same.

Without a second real device, `meta` stands in: it has shapes and devices but no numbers. Nothing can be
copied back from it, so `Ferry` makes zeros where a real device would give its numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from tessera.models.config import DecoderConfig, VisionConfig, VLMConfig
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Packed, Paged

IMAGE = 7
CONFIG = VLMConfig(
    vision=VisionConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32,
    ),
    decoder=DecoderConfig(
        vocab_size=30, hidden_size=16, intermediate_size=32, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=12,
        rope_scaling={"kind": "dynamic", "factor": 2.0},  # type: ignore[arg-type]
    ),
    image_token_id=IMAGE,
)  # fmt: skip
TILES = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IDS = torch.tensor([1, 2, *[IMAGE] * CONFIG.tokens_per_tile, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13])


class Ferry(TorchFunctionMode):
    """Copies from meta give zeros; every crossing is written down as (from, to, shape)."""

    def __init__(self) -> None:
        super().__init__()
        self.crossings: list[tuple[str, str, tuple[int, ...]]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is torch.Tensor.to and isinstance(args[1], torch.device) and args[0].device != args[1]:
            source, target = args[0], args[1]
            self.crossings.append((source.device.type, target.type, tuple(source.shape)))
            if source.is_meta:
                return torch.zeros(source.shape, dtype=source.dtype, device=target)
        return func(*args, **(kwargs or {}))


def model(**places: str) -> VLM:
    """Keys are module names with `__` for dots."""
    built = VLM(CONFIG).eval()
    initialise(built, 1)
    for name, place in places.items():
        built.get_submodule(name.replace("__", ".")).to(place)
    return built


def visited(built: VLM) -> list[str]:
    """Devices at which the decoder's blocks compute, as a list that fills while the model runs."""
    places: list[str] = []
    for layer in built.decoder.layers:
        layer.register_forward_hook(lambda _, args, out: places.append(out.device.type))
    return places


@torch.no_grad()
def test_states_and_tables_cross_each_border_once() -> None:
    """The model cards' split: first and last blocks with the rest of the model, the middle elsewhere."""
    built = model(decoder__layers__1="meta", decoder__layers__2="meta")
    assert [place.type for place in built.decoder.layer_devices] == ["cpu", "meta", "meta", "cpu"]
    places = visited(built)
    with Ferry() as ferry:
        hidden = built(IDS, Packed((len(IDS),)), tiles=TILES)
    length = len(IDS)
    assert places == ["cpu", "meta", "meta", "cpu"]
    assert hidden.shape == (length, 16) and hidden.device.type == "cpu"
    tables = [("cpu", "meta", (length, 1, 4))] * 2
    there, back = ("cpu", "meta", (length, 16)), ("meta", "cpu", (length, 16))
    assert ferry.crossings == [there, *tables, back]


@torch.no_grad()
def test_a_model_in_one_place_moves_nothing() -> None:
    built = model()
    with Ferry() as ferry:
        built.logits(built(IDS, Packed((len(IDS),)), tiles=TILES))
    assert ferry.crossings == []


@torch.no_grad()
def test_tiles_go_to_the_vit_and_features_to_the_embeddings() -> None:
    built = model(vision="meta", connector="meta")
    with Ferry() as ferry:
        embedded = built.embed(IDS, TILES)
    assert embedded.device.type == "cpu"
    tokens = CONFIG.tokens_per_tile
    assert ferry.crossings == [("cpu", "meta", tuple(TILES.shape)), ("meta", "cpu", (tokens, 16))]
    built = model(connector="meta")
    with Ferry() as ferry:
        assert built.see(TILES).device.type == "meta"
    assert ferry.crossings == [("cpu", "meta", (1, 4 * tokens, 16))]


@torch.no_grad()
def test_the_cache_lies_with_its_layers() -> None:
    built = model(decoder__layers__1="meta", decoder__layers__2="meta")
    cache = KVCache(4, 1, len(IDS), 2, 4, device=built.decoder.layer_devices)
    assert [keys.device.type for keys in cache.keys] == ["cpu", "meta", "meta", "cpu"]
    assert [values.device.type for values in cache.values] == ["cpu", "meta", "meta", "cpu"]
    with Ferry() as ferry:
        built(IDS, Paged((len(IDS),), (0,), ((0,),)), tiles=TILES, cache=cache)
    assert len(ferry.crossings) == 4, "no page moves"
    with pytest.raises(ValueError, match="3 entries for 4 layers: give one or one each"):
        KVCache(4, 1, 8, 2, 4, device=["cpu"] * 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second real device: no CUDA here")
@pytest.mark.parametrize("rows", [None, torch.tensor([2, 9, 15])])
@torch.no_grad()
def test_numbers_agree_over_two_real_devices(rows: torch.Tensor | None) -> None:
    expected = model()(IDS, Packed((len(IDS),)), tiles=TILES, rows=rows)
    spread = model(vision="cuda", decoder__layers__1="cuda", decoder__layers__2="cuda")
    got = spread(IDS, Packed((len(IDS),)), tiles=TILES, rows=rows)
    assert got.device.type == "cpu"
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    turned = model(decoder="cuda", decoder__layers__1="cpu")
    got = turned(IDS, Packed((len(IDS),)), tiles=TILES, rows=rows)
    assert got.device.type == "cuda"
    torch.testing.assert_close(got.cpu(), expected, atol=1e-4, rtol=1e-4)
