"""What is saved is what is opened, bit for bit, in both layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors import safe_open

from tessera.checkpoints.files.shards import write_shards
from tessera.checkpoints.load import empty_model, load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.families.catalogue import fresh
from tessera.families.family import Family
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tests.engine import tiny

LAYOUTS = ("tessera", "official")
Layout = Literal["tessera", "official"]


def other_member() -> tuple[VLM, Family]:
    """Everything unlike the defaults: the 6B ViT's norms, LLaMA, v1 shuffle, own pixels, tied head."""
    family = fresh("nano_model", tiny.tokenizer())
    vision = family.model.vision.model_copy(
        update={
            "norm_type": "rms_norm",
            "qk_normalization": True,
            "qkv_bias": False,
            "layer_norm_eps": 1e-5,
            "drop_path_rate": 0.1,
        }
    )
    decoder = family.model.decoder.model_copy(
        update={
            "attention_bias": False,
            "head_dim": 12,
            "rope_theta": 1e4,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
        }
    )
    parts = {"vision": vision, "decoder": decoder, "select_layer": -2, "ps_version": "v1", "mean": (0.5,) * 3}
    model = family.model.model_copy(update=parts)
    tiling = family.tiling.model_copy(update={"max_tiles": 3, "thumbnail": False, "dynamic": False})
    changed = family.model_copy(
        update={"name": "other", "model": model, "tiling": tiling, "template": "Hermes-2", "system_text": "S"}
    )
    built = VLM(model)
    initialise(built, 11)
    return built, changed


def assert_same_weights(one: VLM, two: VLM) -> None:
    first, second = one.state_dict(), two.state_dict()
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_round_trip(layout: Layout, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, tiny.model(), tiny.family(), tiny.tokenizer(), layout)
    loaded = load_checkpoint(tmp_path)
    assert loaded.family == tiny.family()
    assert_same_weights(loaded.model, tiny.model())
    assert not loaded.model.training and not any(p.is_meta for p in loaded.model.parameters())
    assert loaded.tokenizer.encode("<|im_end|>how many") == tiny.tokenizer().encode("<|im_end|>how many")
    assert loaded.stop_ids == tiny.encoder().stop_ids
    assert loaded.encoder.describe() == tiny.encoder().describe()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_round_trip_of_another_member(layout: Layout, tmp_path: Path) -> None:
    model, family = other_member()
    save_checkpoint(tmp_path, model, family, tiny.tokenizer(), layout)
    loaded = load_checkpoint(tmp_path)
    assert_same_weights(loaded.model, model)
    tied = loaded.model.decoder.lm_head.weight is loaded.model.decoder.embed_tokens.weight
    assert tied == (layout == "tessera"), "the official layout always stores the head"
    read = loaded.family
    if layout == "official":
        decoder = read.model.decoder.model_copy(update={"tie_word_embeddings": True})
        read = read.model_copy(update={"model": read.model.model_copy(update={"decoder": decoder})})
    assert read == family


@pytest.mark.parametrize("layout", LAYOUTS)
def test_shards(layout: Layout, tmp_path: Path) -> None:
    """Small shards and one file hold the same; a later save in the folder leaves none of the earlier."""
    arguments = (tiny.model(), tiny.family(), tiny.tokenizer(), layout)
    save_checkpoint(tmp_path, *arguments, max_shard_bytes=20_000)
    shards = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(shards) > 3 and shards[0] == f"model-00001-of-{len(shards):05d}.safetensors"
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(p.nbytes for p in tiny.model().parameters())
    assert sorted(set(index["weight_map"].values())) == shards
    loaded = load_checkpoint(tmp_path)
    save_checkpoint(tmp_path, *arguments)
    assert [path.name for path in tmp_path.glob("*.safetensors*")] == ["model.safetensors"]
    assert_same_weights(loaded.model, load_checkpoint(tmp_path).model)


def test_weights_can_be_read_by_whom_the_mask_allows(tmp_path: Path) -> None:
    """safetensors writes files with mode 0600; a colleague could not open what we saved."""
    write_shards(tmp_path, [("a", torch.ones(2))])
    (tmp_path / "plain").touch()
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_saving_over_the_folder_a_model_came_from(tmp_path: Path) -> None:
    """Opened weights are not windows into the files: training saves into its own starting folder."""
    save_checkpoint(tmp_path, tiny.model(), tiny.family(), tiny.tokenizer())
    loaded = load_checkpoint(tmp_path)
    with torch.no_grad():
        loaded.model.decoder.norm.weight.add_(1.0)
    save_checkpoint(tmp_path, loaded.model, loaded.family, loaded.tokenizer)
    assert_same_weights(load_checkpoint(tmp_path).model, loaded.model)


def test_dtypes_and_card(tmp_path: Path) -> None:
    card = {"recipe": "none", "seed": 3, "knows": ["nothing"]}
    arguments = (tmp_path, tiny.model(), tiny.family(), tiny.tokenizer())
    save_checkpoint(*arguments, dtype=torch.bfloat16, card=card)
    loaded = load_checkpoint(tmp_path)
    assert loaded.card == card
    assert {p.dtype for p in loaded.model.parameters()} == {torch.bfloat16}
    wide = load_checkpoint(tmp_path, dtype=torch.float32).model
    assert torch.equal(wide.decoder.norm.weight, tiny.model().decoder.norm.weight.bfloat16().float())


def test_official_keys_are_the_published_ones(tmp_path: Path) -> None:
    """docs/facts/key_names.md, written out by hand."""
    save_checkpoint(tmp_path, tiny.model(), tiny.family(), tiny.tokenizer(), "official")
    vision = "vision_model.encoder.layers"
    decoder = "language_model.model.layers"
    both = ("weight", "bias")
    expected = {f"vision_model.embeddings.{k}" for k in ("class_embedding", "position_embedding")}
    expected |= {f"vision_model.embeddings.patch_embedding.{k}" for k in both}
    expected |= {f"mlp1.{i}.{k}" for i in (0, 1, 3) for k in both}
    expected |= {f"language_model.{k}.weight" for k in ("model.embed_tokens", "model.norm", "lm_head")}
    for i in range(2):
        for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "norm1", "norm2"):
            expected |= {f"{vision}.{i}.{part}.{k}" for k in both}
        expected |= {f"{vision}.{i}.{k}" for k in ("ls1", "ls2")}
        expected |= {f"{decoder}.{i}.self_attn.{p}_proj.{k}" for p in "qkv" for k in both}
        expected |= {f"{decoder}.{i}.mlp.{p}_proj.weight" for p in ("gate", "up", "down")}
        names = ("self_attn.o_proj", "input_layernorm", "post_attention_layernorm")
        expected |= {f"{decoder}.{i}.{k}.weight" for k in names}
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert set(file.keys()) == expected


def test_a_model_without_memory_has_the_released_size() -> None:
    """Parameter counts of the catalogue's tables against the published ones (docs/facts/models.md), in
    billions."""
    for name, billions in (("InternVL2_5-1B", 0.94), ("InternVL2_5-4B", 3.71), ("InternVL3-8B", 7.94)):
        from tessera.families.catalogue import get_family

        model = empty_model(get_family(name))
        count = sum(parameter.numel() for parameter in model.parameters())
        assert all(parameter.is_meta for parameter in model.parameters())
        assert count / 1e9 == pytest.approx(billions, abs=0.01)


def test_saving_refuses_a_family_of_another_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="describes another model"):
        save_checkpoint(tmp_path, tiny.model(), other_member()[1], tiny.tokenizer())
    with pytest.raises(ValueError, match="choose 'tessera', 'official', 'transformers'"):
        save_checkpoint(tmp_path, tiny.model(), tiny.family(), tiny.tokenizer(), "other")  # type: ignore[arg-type]
