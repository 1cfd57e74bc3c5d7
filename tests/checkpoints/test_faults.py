"""Every lie that a checkpoint folder can tell is named, with file, key and remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tests.engine import tiny

INDEX = "model.safetensors.index.json"
Lie = Callable[[Path], None]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "own", tiny.model(), tiny.family(), tiny.tokenizer())


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    arguments = (tiny.model(), tiny.family(), tiny.tokenizer())
    return save_checkpoint(tmp_path / "sharded", *arguments, max_shard_bytes=20_000)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "official", tiny.model(), tiny.family(), tiny.tokenizer(), "official")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "model.safetensors"
    tensors = {key: tensor.clone() for key, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


WEIGHT_LIES: dict[str, tuple[Lie, str]] = {
    "no folder": (lambda f: f.rename(f.with_name("gone")), "does not exist; give the folder"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds no model.safetensors"),
    "pickle": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "pytorch_model.bin is damaged or .*fetch it again",
    ),
    "damaged": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:5000]),
        "model.safetensors is damaged .*fetch it again",
    ),
    "shard without index": (
        lambda f: (f / "model.safetensors").rename(f / "model-00001-of-00002.safetensors"),
        "model-00001-of-00002.safetensors but neither",
    ),
    "missing key": (
        lambda f: edit_weights(f, lambda t: t.pop("decoder.norm.weight")),
        "lacks weights for 'decoder.norm.weight'",
    ),
    "extra key": (
        lambda f: edit_weights(f, lambda t: t.update({"decoder.layers.9.more": torch.ones(1)})),
        "'decoder.layers.9.more' in .*model.safetensors fit no part",
    ),
    "unknown key": (
        lambda f: edit_weights(f, lambda t: t.update({"audio.weight": torch.ones(1)})),
        "'audio.weight' in .* fit no part",
    ),
    "LoRA": (
        lambda f: edit_weights(f, lambda t: t.update({"decoder.q_proj.lora_A.weight": torch.ones(1)})),
        "LoRA checkpoint .by its keys.: open it with merge_lora=True",
    ),
    "wrong shape": (
        lambda f: edit_weights(f, lambda t: t.update({"decoder.norm.weight": torch.ones(7)})),
        r"'decoder.norm.weight' has shape \(7,\) but the config asks for \(32,\)",
    ),
    "no config": (lambda f: (f / "tessera.json").unlink(), "neither tessera.json nor config.json"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer folder"),
    "config is no JSON": (lambda f: (f / "tessera.json").write_text("{"), "tessera.json is no JSON"),
    "config is a list": (lambda f: (f / "tessera.json").write_text("[]"), "holds a list, not a JSON object"),
    "newer format": (
        lambda f: edit(f / "tessera.json", lambda c: c.update(format=99)),
        "format = 99, this version reads 1: update",
    ),
    "unknown field": (
        lambda f: edit(f / "tessera.json", lambda c: c["family"]["model"]["vision"].update(speed=3)),
        "tessera.json: family.model.vision.speed = 3: Extra inputs",
    ),
    "foreign tokenizer": (
        lambda f: edit(f / "tessera.json", lambda c: c["family"]["model"].update(image_token_id=5)),
        "<IMG_CONTEXT> is token .* image_token_id is 5",
    ),
    "too many tokens": (
        lambda f: edit(f / "tessera.json", lambda c: c["family"]["model"]["decoder"].update(vocab_size=9)),
        "the tokenizer has .* tokens but the model's vocab_size is 9",
    ),
    "deeper config": (
        lambda f: edit(
            f / "tessera.json", lambda c: c["family"]["model"]["decoder"].update(num_hidden_layers=3)
        ),
        r"lacks weights for 'decoder.layers.2.* and \d+ more",
    ),
}


@pytest.mark.parametrize("name", WEIGHT_LIES)
def test_own_layout(name: str, own: Path) -> None:
    lie, message = WEIGHT_LIES[name]
    lie(own)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(own)


def first_shard(folder: Path) -> Path:
    return min(folder.glob("model-*.safetensors"))


SHARD_LIES: dict[str, tuple[Lie, str]] = {
    "missing shard": (lambda f: first_shard(f).unlink(), "shard model-00001-of-.* is missing"),
    "index is no JSON": (lambda f: (f / INDEX).write_text("weights"), "no shard index"),
    "index without table": (lambda f: (f / INDEX).write_text("{}"), "no shard index"),
    "empty table": (lambda f: (f / INDEX).write_text('{"weight_map": {}}'), "weight_map is empty"),
    "index leaves the folder": (
        lambda f: edit(f / INDEX, lambda c: c["weight_map"].update(x="../model.safetensors")),
        "no safetensors file in this folder",
    ),
    "index lies": (
        lambda f: edit(
            f / INDEX,
            lambda c: c["weight_map"].update({"decoder.norm.weight": first_shard(f).name}),
        ),
        "does not hold 'decoder.norm.weight' although",
    ),
}


@pytest.mark.parametrize("name", SHARD_LIES)
def test_shards(name: str, sharded: Path) -> None:
    lie, message = SHARD_LIES[name]
    lie(sharded)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(sharded)


CONFIG_LIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "other model": (lambda c: c.update(model_type="bert"), "model_type = 'bert' is unk"),
    "vit": (lambda c: c.update(model_type="intern_vit_6b"), "is a ViT alone.* tessera.load_vision"),
    "other decoder": (
        lambda c: c["llm_config"].update(architectures=["GPT2LMHeadModel"]),
        "llm_config: architectures = 'GPT2LMHeadModel'.* cannot be opened; this version reads Llama",
    ),
    "padding": (lambda c: c.update(pad2square=True), "pad2square"),
    "no template": (lambda c: c.pop("template"), "'template' is missing"),
    "unknown template": (
        lambda c: c.update(template="vicuna"),
        "template = 'vicuna': this template is unknown; choose",
    ),
    "no sizes": (lambda c: c["llm_config"].pop("hidden_size"), "llm_config: 'hidden_size' is missing"),
    "rope scaling": (
        lambda c: c["llm_config"].update(rope_scaling={"type": "xpos", "factor": 4.0}),
        "rope_scaling.type = 'xpos': this version reads linear",
    ),
    "sliding window": (lambda c: c["llm_config"].update(use_sliding_window=True), "use_sliding_window"),
    "activation": (lambda c: c["llm_config"].update(hidden_act="gelu"), "hidden_act = 'gelu'"),
    "heads": (
        lambda c: c["llm_config"].update(num_attention_heads=3),
        "config.json: .*num_attention_heads 3 is not a multiple",
    ),
    "pixel shuffle": (lambda c: c.update(ps_version="v3"), "config.json: ps_version = 'v3': .*'v1' or 'v2'"),
    "tiles": (lambda c: c.update(max_dynamic_patch=None), "config.json: max_dynamic_patch = null: a whole"),
    "vision activation": (lambda c: c["vision_config"].update(hidden_act="relu"), "hidden_act = 'relu'"),
}


@pytest.mark.parametrize("name", CONFIG_LIES)
def test_official_config(name: str, official: Path) -> None:
    change, message = CONFIG_LIES[name]
    edit(official / "config.json", change)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(official)


def test_old_files_may_carry_rotary_tables_and_inert_keys(official: Path) -> None:
    """Released configs are full of keys of other projects; old files hold `inv_freq` buffers."""
    key = "language_model.model.layers.0.self_attn.rotary_emb.inv_freq"
    edit_weights(official, lambda tensors: tensors.update({key: torch.ones(4)}))
    edit(
        official / "config.json",
        lambda c: c["vision_config"].update(use_moe=False, capacity_factor=1.2),
    )
    assert load_checkpoint(official).family == tiny.family()
