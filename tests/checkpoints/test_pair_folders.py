"""Folders of pairs under the released names, by an independent script: opened, saved and opened again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn

import tessera
from tessera.checkpoints.files.shards import ShardReader
from tessera.checkpoints.load import load_checkpoint, read_description
from tessera.checkpoints.pair.loading import load_pair
from tessera.checkpoints.pair.saving import save_pair
from tessera.checkpoints.shipped import shipped_folder
from tessera.families.catalogue import get_entry
from tessera.families.pair_texts import TextRules
from tessera.families.pairs import PairReading, get_pair
from tessera.models.pair.pair import QllamaPair
from tessera.models.vision.internvit import resize_positions
from tests.parity import released_pair as released

VOCABULARY = 1062
ENDS = {"bos_token_id": 1051, "eos_token_id": 1052}


def written(folder: Path, weights: released.State | None = None, **changes: Any) -> Path:
    """A released folder with the tokenizer that ships here."""
    content = released.config(VOCABULARY, **changes)
    content["qllama_config"] |= ENDS
    weights = released.state(vocabulary=VOCABULARY) if weights is None else weights
    released.write(folder, weights, content)
    for file in shipped_folder("tokenizer").iterdir():
        shutil.copy(file, folder)
    return folder


def test_released_names_open_and_are_written_again(tmp_path: Path) -> None:
    folder = written(tmp_path / "InternVL-14B-224px")
    loaded = load_pair(folder)
    assert loaded.reading.name == "InternVL-14B-224px" and loaded.notes == ()
    assert loaded.config.num_query_token == 6 and loaded.config.eos_token_id == 1052
    again = save_pair(
        tmp_path / "again",
        loaded.model,
        loaded.family,
        loaded.reading,
        loaded.tokenizer,
        max_shard_bytes=2**16,
    )
    with ShardReader(again) as reader:
        stored = {key: reader.tensor(key).clone() for key in reader.files}
    before = load_file(folder / "model.safetensors")
    assert stored.keys() == before.keys() == released.shapes(VOCABULARY).keys()
    assert all(torch.equal(stored[key], before[key]) for key in stored)
    reopened = load_pair(again)
    assert (reopened.reading, reopened.config) == (loaded.reading, loaded.config)
    content = json.loads((again / "config.json").read_text())
    assert content["model_type"] == "internvl" and content["qllama_config"]["num_query_token"] == 6


@pytest.mark.parametrize(
    ("side", "force", "stored"), [(56, 84, 37), (56, 84, 17), (84, None, 37), (56, 56, 17)]
)
def test_positions_of_either_size_open(tmp_path: Path, side: int, force: int | None, stored: int) -> None:
    """The fine-tunes say force_image_size = 364 beside a vision_config of 224, and hold 364's positions."""
    weights = released.state(vocabulary=VOCABULARY, positions=stored)
    folder = written(tmp_path, weights, force_image_size=force)
    content = json.loads((folder / "config.json").read_text())
    content["vision_config"]["image_size"] = side
    (folder / "config.json").write_text(json.dumps(content))
    loaded, grid = load_pair(folder), (force or side) // 14
    held = weights["vision_model.embeddings.position_embedding"]
    expected = held if stored == 1 + grid**2 else resize_positions(held, 4, grid, grid)
    torch.testing.assert_close(loaded.model.vision.embeddings.position_embedding.detach(), expected)
    assert bool(loaded.notes) == (stored != 1 + grid**2)
    assert loaded.config.vision.image_size == grid * 14


class Wrapped(nn.Module):
    """QLLaMA or ViT as bare modules under the released names, for PEFT to wrap."""

    def __init__(self, weights: released.State) -> None:
        super().__init__()
        for key, value in weights.items():
            *path, leaf = key.split(".")
            place: nn.Module = self
            for name in path[:-1]:
                if not hasattr(place, name):
                    place.add_module(name, nn.Module())
                place = getattr(place, name)
            if value.dim() == 2 and leaf == "weight" and "embed" not in key:
                bias = weights.get(f"{key.removesuffix('weight')}bias")
                linear = nn.Linear(value.shape[1], value.shape[0], bias=bias is not None)
                linear.load_state_dict({"weight": value} | ({} if bias is None else {"bias": bias}))
                place.add_module(path[-1], linear)


def lora(
    weights: released.State, part: str, targets: str, rank: int
) -> tuple[released.State, released.State]:
    """One part with LoRA as PEFT names it inside a saved pair, and merged by PEFT."""
    own = {
        key.removeprefix(f"{part}."): value for key, value in weights.items() if key.startswith(f"{part}.")
    }
    model = get_peft_model(Wrapped(own), LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter))
    stored = {k: v for k, v in weights.items() if not k.startswith(f"{part}.")}
    wrapped = {f"{part}.{key}": value.clone() for key, value in model.state_dict().items()}
    rest = {f"{part}.base_model.model.{k}": v for k, v in own.items()}
    named = {key.replace(".base_layer.", "."): key for key in wrapped if "lora_" not in key}
    stored |= {named.get(key, key): value for key, value in rest.items()}
    stored |= {key: value for key, value in wrapped.items() if "lora_" in key}
    merged = model.merge_and_unload().state_dict()
    return stored, weights | {f"{part}.{key}": value for key, value in merged.items()}


@pytest.mark.parametrize(
    ("part", "key", "targets"),
    [
        ("qllama", "use_qllama_lora", r".*\.(self_attn\.[qkvo]|mlp\.(gate|up|down))_proj"),
        ("vision_model", "use_backbone_lora", r".*\.(attn\.(qkv|proj)|mlp\.fc[12])"),
    ],
)
def test_lora_inside_is_merged(tmp_path: Path, part: str, key: str, targets: str) -> None:
    """alpha is twice the rank of the part, as the released code sets it when it opens a model."""
    torch.manual_seed(0)
    stored, merged = lora(released.state(vocabulary=VOCABULARY), part, targets, 3)
    assert any("lora_A" in name for name in stored)
    folder = written(tmp_path, stored, **{key: 3})
    with pytest.raises(ValueError, match="is a LoRA checkpoint .*merge_lora=True"):
        load_pair(folder)
    found = load_pair(folder, merge_lora=True)
    table = found.family.layout.key_table()
    for name, parameter in found.model.named_parameters():
        wanted = merged[table.group(name).stored[0]]
        torch.testing.assert_close(parameter.detach(), wanted, rtol=1e-5, atol=1e-5)


def changed(key: str, value: Any, part: str | None = None) -> Callable[[Path], None]:
    """A fault in config.json."""

    def spoil(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text())
        (content if part is None else content[part])[key] = value
        (folder / "config.json").write_text(json.dumps(content))

    return spoil


def without(key: str) -> Callable[[Path], None]:
    """A tensor that is missing."""

    def spoil(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        del weights[key]
        released.write(folder, weights, json.loads((folder / "config.json").read_text()))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (without("itm_head.bias"), "no file holds 'itm_head.bias'"),
        (
            changed("num_query_token", 7),
            "'query_tokens' has shape (1, 6, 32) but the config asks for (1, 7, 32)",
        ),
        (changed("attn_pool_num_heads", 5), "attn_pool_num_heads 5 does not divide vision.hidden_size 48"),
        (changed("rope_theta", 5e5, "qllama_config"), "qllama_config.rope_theta = 500000.0: QLLaMA turns"),
        (changed("hidden_act", "relu", "vision_config"), "vision_config.hidden_act = 'relu'"),
        (changed("eos_token_id", 2000, "qllama_config"), "eos 2000, but the model's vocab_size is 1062"),
        (changed("tessera", {"texts": {"max_tokens": 2}}), "max_tokens = 2"),
        (changed("force_image_size", 100), "image_size 100 is not a multiple of patch_size 14"),
        (changed("cross_attention_frequency", 1), "layers.1.cross_attn"),
        (changed("num_hidden_layers", 9000, "qllama_config"), "the config asks for"),
    ],
)
def test_faults_are_named(tmp_path: Path, spoil: Callable[[Path], None], told: str) -> None:
    folder = written(tmp_path)
    spoil(folder)
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        load_pair(folder)
    assert "\n" not in str(caught.value)


def test_chat_commands_say_what_the_folder_is(tmp_path: Path) -> None:
    folder = written(tmp_path)
    with pytest.raises(
        ValueError, match="is a contrastive pair, which does not chat and has no setting 'adapter'"
    ):
        tessera.load(folder, adapter=folder)
    with pytest.raises(ValueError, match="is a contrastive pair, which does not chat"):
        get_entry("InternVL-14B-224px")
    for read in (load_checkpoint, read_description):
        with pytest.raises(ValueError, match="a contrastive pair, which does not chat: tessera.load opens"):
            read(folder)
    with pytest.raises(ValueError, match="holds no contrastive pair"):
        load_pair(shipped_folder())


def test_toys_and_released_sizes() -> None:
    """Parts of the paper's table 1 (6B, and 8B for QLLaMA, 14B in all), and toys that build."""
    family, config = get_pair("InternVL-14B-224px")
    parts = {name: weights.total / 1e9 for name, weights in config.part_weights().items()}
    assert (
        round(parts["vision"], 1) == 5.9 and round(parts["qllama"]) == 8 and round(sum(parts.values())) == 14
    )
    assert get_pair("OpenGVLab/InternVL-14B-Flickr30K-FT-364px")[1].vision.grid == 26
    with pytest.raises(ValueError, match="InternVL2-8B is a chat model, not a pair"):
        get_pair("InternVL2-8B")
    for name, toy in family.toys.items():
        model = QllamaPair(toy)
        counted = sum(weights.total for weights in toy.part_weights().values())
        assert counted == sum(p.numel() for p in model.parameters()), name
        with pytest.raises(ValueError, match="describes another model"):
            save_pair(Path("x"), model, family, PairReading(name, config, TextRules()), None)  # type: ignore[arg-type]
