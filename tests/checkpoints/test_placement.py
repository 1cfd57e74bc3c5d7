"""Layers over devices: the model cards' split, by free memory, and maps by hand."""

from __future__ import annotations

import math

import pytest

from tessera.checkpoints.placement import (
    balance,
    device_of,
    ends_of,
    free_bytes,
    modules_of,
    read_map,
    split_layers,
)
from tessera.families.catalogue import get_family
from tessera.families.internvl.weights import CARD_NAMES
from tessera.models.config import VLMConfig


def config(layers: int = 8) -> VLMConfig:
    model = get_family("nano_model").model
    return model.model_copy(
        update={"decoder": model.decoder.model_copy(update={"num_hidden_layers": layers})}
    )


ENDS = ends_of(config())


def cards(layers: int, count: int) -> dict[int, int]:
    """Layer -> device as the model cards' text says it (docs/facts/devices.md), written as plainly as
    possible."""
    share = math.ceil(layers / (count - 0.5))
    owners, layer = {}, 0
    for device in range(count):
        for _ in range(math.ceil(share * 0.5) if device == 0 else share):
            owners[layer] = device
            layer += 1
    owners[layers - 1] = 0
    return {layer: owners[layer] for layer in range(layers)}


@pytest.mark.parametrize("layers", [1, 2, 24, 32, 48, 60, 80])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_the_cards_split(layers: int, count: int) -> None:
    placed = split_layers(config(layers), [f"cuda:{i}" for i in range(count)])
    assert {placed[name] for name in ENDS} == {"cuda:0"}
    expected = {f"decoder.layers.{i}": f"cuda:{device}" for i, device in cards(layers, count).items()}
    assert {name: device for name, device in placed.items() if name not in ENDS} == expected


def test_a_known_split() -> None:
    """32 layers on two devices: share ceil(32 / 1.5) = 22, so 11 first, 20 on the second, the last first."""
    placed = list(split_layers(config(32), ["cuda:0", "cuda:1"]).values())[len(ENDS) :]
    assert placed == ["cuda:0"] * 11 + ["cuda:1"] * 20 + ["cuda:0"]


def test_balance_fills_all_alike() -> None:
    model = get_family("InternVL3-8B").model
    budgets = {"cuda:0": 12 * 1024**3, "cuda:1": 12 * 1024**3, "cuda:2": 6 * 1024**3}
    placed = balance(model, budgets)
    blocks = [placed[f"decoder.layers.{i}"] for i in range(28)]
    assert blocks == sorted(blocks), "blocks stay in order"
    counts = {device: blocks.count(device) for device in budgets}
    assert counts["cuda:0"] < counts["cuda:1"], "the first also holds ViT, embeddings and head"
    assert abs(counts["cuda:1"] - 2 * counts["cuda:2"]) <= 2
    assert {placed[name] for name in ENDS} == {"cuda:0"}
    assert set(placed) == set(modules_of(model))


def test_balance_counts_bytes() -> None:
    """InternVL3-8B: 7.94 B weights, 15.9 GB in bfloat16; int8 takes little more than half."""
    model = get_family("InternVL3-8B").model
    giga = 10**9
    assert set(balance(model, {"cuda:0": 17 * giga}).values()) == {"cuda:0"}
    with pytest.raises(ValueError, match="GiB on the first device and 28 blocks"):
        balance(model, {"cuda:0": 15 * giga})
    assert balance(model, {"cuda:0": 10 * giga}, stored="int8")
    with pytest.raises(ValueError, match="int8, or add a device"):
        balance(model, {"cuda:0": 17 * giga}, bytes_per_weight=4)
    with pytest.raises(ValueError, match="on the first device"):
        balance(model, {"cuda:0": giga, "cuda:1": 100 * giga})


def test_longest_prefix_of_whole_names() -> None:
    devices = {"": "cpu", "decoder.layers.1": "cuda:0", "decoder": "cuda:1"}
    assert device_of("decoder.layers.1.mlp.up_proj.weight", devices) == "cuda:0"
    assert device_of("decoder.layers.10.mlp.up_proj.weight", devices) == "cuda:1"
    assert device_of("vision.layers.1.ls1", devices) == "cpu"
    assert device_of("vision", {"decoder": "cpu"}) is None


def test_maps_by_hand() -> None:
    placed = read_map(config(3), {"": "cpu", "decoder.layers.1": "cuda:0"})
    assert placed.pop("decoder.layers.1") == "cuda:0"
    assert set(placed.values()) == {"cpu"} and len(placed) == len(ENDS) + 2
    assert read_map(config(3), {"": "cpu", "vision": "cuda:1"})["vision"] == "cuda:1"


@pytest.mark.parametrize("words", ["tok_embeddings output", "embed_tokens lm_head"])
def test_maps_of_the_model_cards(words: str) -> None:
    """What `split_model` of the cards returns: their names, device numbers, the rotary buffer too."""
    embeddings, head = words.split()
    given: dict[str, str | int] = {f"language_model.model.layers.{i}": i % 2 for i in range(4)}
    given |= {"vision_model": 0, "mlp1": 0, f"language_model.model.{embeddings}": 0}
    given |= {
        f"language_model.{head}": 0,
        "language_model.model.norm": 0,
        "language_model.model.rotary_emb": 0,
    }
    placed = read_map(config(4), given, CARD_NAMES)
    assert [placed[f"decoder.layers.{i}"] for i in range(4)] == ["cuda:0", "cuda:1"] * 2
    assert {placed[name] for name in ENDS} == {"cuda:0"}


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ({"": "cpu", "decoder.layer.0": "cpu"}, "'decoder.layer.0' is no module of this model; did you mean"),
        ({"": "cpu", "decoder.layers.8": "cpu"}, "'decoder.layers.8' is no module"),
        ({"": "cpu", "decoder.layers.1.mlp": "cuda:0"}, "inside a module that is placed as a whole"),
        ({"": "cpu", "vision.layers.1": "cuda:0"}, "inside a module that is placed as a whole"),
        ({"decoder": "cpu", "vision": "cpu"}, "no entry covers 'connector'"),
        ({"decoder.layers": "cpu"}, "no entry covers 'vision' and 4 more"),
        ({"": "cpu", "decoder.lm_head": "cuda:0"}, "lm_head lie on cpu and cuda:0: put them on one device"),
        ({"": "gpu:one"}, "'gpu:one' is no device"),
        ({}, "no entry covers"),
    ],
)
def test_wrong_maps(devices: dict[str, str | int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_map(config(), devices)


def test_wrong_lists() -> None:
    for names in ([], ["cuda:0", "cuda:0"], ["nothing"]):
        with pytest.raises(ValueError, match="devices"):
            split_layers(config(), names)


def test_free_memory() -> None:
    assert 2**20 < free_bytes("cpu") < 2**50
    with pytest.raises(ValueError, match="give a map of modules"):
        free_bytes("meta")
