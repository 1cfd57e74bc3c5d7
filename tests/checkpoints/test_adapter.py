"""Folders with a LoRA adapter alone: named as such, and merged into their base as PEFT does it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tessera
from tessera.checkpoints.adapter import Adapter, find_with_adapter
from tessera.checkpoints.conversion.convert import convert
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.lora.merging import merge_adapter
from tests.checkpoints import kinds

Tensors = dict[str, torch.Tensor]
LAYER = "language_model.model.layers.0."


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(math.prod(shape)))


def adapter(folder: Path, tensors: Tensors, name: str = "adapter_model.safetensors", **config: Any) -> Path:
    """A folder as PEFT saves it: rank 2, alpha 6."""
    folder.mkdir(exist_ok=True)
    said = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 6,
        "base_model_name_or_path": "nobody/nothing",
    } | config
    (folder / "adapter_config.json").write_text(json.dumps(said))
    wrapped = {f"base_model.model.{key}": tensor for key, tensor in tensors.items()}
    if name.endswith(".bin"):
        torch.save(wrapped, folder / name)
    else:
        save_file(wrapped, folder / name)
    return folder


def pair(module: str, out: int, inner: int, rank: int = 2) -> Tensors:
    return {f"{module}.lora_A.weight": noise(rank, inner), f"{module}.lora_B.weight": noise(out, rank)}


def weights(loaded: Loaded) -> Tensors:
    return {name: parameter.detach() for name, parameter in loaded.model.named_parameters()}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return kinds.saved(tmp_path / "toy", "qwen2")


def delta(tensors: Tensors, module: str, scale: float) -> torch.Tensor:
    return scale * tensors[f"{module}.lora_B.weight"] @ tensors[f"{module}.lora_A.weight"]


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 3.0),
        ({"use_rslora": True}, 6 / math.sqrt(2)),
        ({"alpha_pattern": {"q_proj": 1.0}}, 0.5),
        ({"alpha_pattern": {"layers.0.self_attn.q_proj": 1}}, 0.5),
        ({"alpha_pattern": {"layers.1.self_attn.q_proj": 1, "proj": 9}}, 3.0),
        ({"r": 8, "rank_pattern": {"q_proj": 2}}, 3.0),
    ],
)
def test_merging_is_pefts_formula(config: dict[str, Any], scale: float, base: Path, tmp_path: Path) -> None:
    module = f"{LAYER}self_attn.q_proj"
    tensors = pair(module, 32, 32)
    loaded = load_checkpoint(base, adapter=adapter(tmp_path / "adapter", tensors, **config))
    before, after = weights(load_checkpoint(base)), weights(loaded)
    name = "decoder.layers.0.self_attn.q_proj.weight"
    torch.testing.assert_close(after[name], before[name] + delta(tensors, module, scale))
    assert all(torch.equal(after[other], before[other]) for other in before if other != name)
    assert "a LoRA adapter for nobody/nothing was merged into 1 tensor" in loaded.notes[-1]


PREFIXES = {
    "the official code": LAYER,
    "transformers": "model.language_model.layers.0.",
    "the decoder alone": "model.layers.0.",
}


@pytest.mark.parametrize("layout", ["official", "transformers", "tessera"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_names_of_other_code_and_another_layout(prefix: str, layout: LayoutName, tmp_path: Path) -> None:
    """The adapter has the names of the code that trained it, whatever the base's own layout."""
    base = kinds.saved(tmp_path / "toy", "llama", layout)
    module = f"{PREFIXES[prefix]}mlp.down_proj"
    before = weights(load_checkpoint(base))["decoder.layers.0.mlp.down_proj.weight"]
    tensors = pair(module, *before.shape)
    folder = adapter(tmp_path / "adapter", tensors, name="adapter_model.bin")
    after = weights(load_checkpoint(base, adapter=folder))["decoder.layers.0.mlp.down_proj.weight"]
    torch.testing.assert_close(after, before + delta(tensors, module, 3.0))


def test_a_fused_matrix_is_cut_as_the_files_are(tmp_path: Path) -> None:
    """InternLM2's wqkv: the same numbers, whether the product is cut or the merged matrix is."""
    base = kinds.saved(tmp_path / "toy", "internlm2")
    module = f"{LAYER}attention.wqkv"
    stored = load_file(base / "model.safetensors")
    tensors = pair(module, *stored[f"{module}.weight"].shape)
    merged = dict(stored)
    merged[f"{module}.weight"] = stored[f"{module}.weight"] + delta(tensors, module, 3.0)
    other = kinds.saved(tmp_path / "merged", "internlm2")
    save_file(merged, other / "model.safetensors")
    found = weights(load_checkpoint(base, adapter=adapter(tmp_path / "adapter", tensors)))
    for name, tensor in weights(load_checkpoint(other)).items():
        torch.testing.assert_close(found[name], tensor)


def test_one_of_three_that_lie_in_one_here(tmp_path: Path) -> None:
    """transformers' ViT has query, key and value apart; ours lie behind each other."""
    base = kinds.saved(tmp_path / "toy", "llama", "transformers")
    module, name = "model.vision_tower.encoder.layer.0.attention.k_proj", "vision.layers.0.attn.qkv.weight"
    before = weights(load_checkpoint(base))[name]
    width = before.shape[1]
    tensors = pair(module, width, width)
    after = weights(load_checkpoint(base, adapter=adapter(tmp_path / "adapter", tensors)))[name]
    expected = before.clone()
    expected[width : 2 * width] += delta(tensors, module, 3.0)
    torch.testing.assert_close(after, expected)


def test_embeddings_and_whole_tensors(base: Path, tmp_path: Path) -> None:
    before = weights(load_checkpoint(base))
    rows, width = before["decoder.embed_tokens.weight"].shape
    inner = "language_model.model.embed_tokens.lora_embedding_"
    head = noise(*before["decoder.lm_head.weight"].shape)
    tensors = {f"{inner}A": noise(2, rows), f"{inner}B": noise(width, 2)}
    more = {"language_model.lm_head.weight": head, "mlp1.0.bias": noise(*before["connector.norm.bias"].shape)}
    loaded = load_checkpoint(base, adapter=adapter(tmp_path / "adapter", tensors | more))
    after = weights(loaded)
    added = 3.0 * (tensors[f"{inner}B"] @ tensors[f"{inner}A"]).T
    embedding = before["decoder.embed_tokens.weight"] + added
    torch.testing.assert_close(after["decoder.embed_tokens.weight"], embedding)
    assert torch.equal(after["decoder.lm_head.weight"], head)
    assert torch.equal(after["connector.norm.bias"], more["mlp1.0.bias"])
    assert "replaced 2 tensors" in loaded.notes[-1]


def test_factors_are_added_to_the_embeddings_that_the_adapter_brings(base: Path, tmp_path: Path) -> None:
    """PEFT saves embeddings whole beside their factors; the order of the two decides the sum."""
    inner = "language_model.model.embed_tokens."
    whole = noise(*weights(load_checkpoint(base))["decoder.embed_tokens.weight"].shape)
    factors = {"lora_embedding_A": noise(2, len(whole)), "lora_embedding_B": noise(whole.shape[1], 2)}
    tensors = {f"{inner}base_layer.weight": whole} | {inner + name: value for name, value in factors.items()}
    after = weights(load_checkpoint(base, adapter=adapter(tmp_path / "adapter", tensors)))
    expected = whole + 3.0 * (factors["lora_embedding_B"] @ factors["lora_embedding_A"]).T
    torch.testing.assert_close(after["decoder.embed_tokens.weight"], expected)


MODULE = f"{LAYER}self_attn.q_proj"
GOOD = pair(MODULE, 32, 32)
WRONG: dict[str, tuple[Tensors, dict[str, Any], str]] = {
    "DoRA": (GOOD, {"use_dora": True}, "adapter_config.json: use_dora = true: DoRA"),
    "DoRA by its weights": (GOOD | {f"{MODULE}.lora_magnitude_vector": noise(32)}, {}, "is no plain LoRA"),
    "another kind": (GOOD, {"peft_type": "IA3"}, "peft_type = 'IA3': only LORA is merged"),
    "on its side": (GOOD, {"fan_in_fan_out": True}, "fan_in_fan_out = true"),
    "a changed base": (GOOD, {"init_lora_weights": "pissa_niter_4"}, "init_lora_weights = 'pissa_niter_4'"),
    "another rank": (GOOD, {"r": 4}, "has rank 4 by it but its factors have 2"),
    "a pattern": (GOOD, {"alpha_pattern": {"(a+)+$": 1}}, "no other patterns"),
    "alpha in words": (GOOD, {"lora_alpha": "much"}, "lora_alpha = 'much': a finite number"),
    "rank in a list": (GOOD, {"r": [2]}, r"r = \[2\]: a whole number"),
    "half a pair": ({f"{MODULE}.lora_A.weight": noise(2, 32)}, {}, "stands without the other factor"),
    "two adapters": (GOOD | {f"{MODULE}.lora_A.second.weight": noise(2, 32)}, {}, "is a second adapter"),
    "another model": (
        pair(MODULE, 48, 32),
        {},
        r"of shape \(48, 32\) but the base has \(32, 32\): give the base",
    ),
    "a module too many": (
        GOOD | pair(f"{LAYER}self_attn.r_proj", 3, 3),
        {},
        "is no weight of this model; it was",
    ),
    "factors of a cube": ({**GOOD, f"{MODULE}.lora_A.weight": noise(2, 4, 4)}, {}, "make no matrix"),
    "rows of new tokens": (
        GOOD | {"language_model.lm_head.weight": noise(999, 32)},
        {},
        "new tokens are to be",
    ),
    "no tensors": ({}, {}, "holds no tensor"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_merged_is_refused(name: str, base: Path, tmp_path: Path) -> None:
    tensors, config, message = WRONG[name]
    folder = adapter(tmp_path / "adapter", tensors, **config)
    with pytest.raises(ValueError, match=f"adapter.*{message}"):
        load_checkpoint(base, adapter=folder)


def test_factors_that_are_not_finite(base: Path, tmp_path: Path) -> None:
    tensors = {key: value * float("inf") for key, value in GOOD.items()}
    with pytest.raises(ValueError, match="lora_B.weight' holds what is no finite number"):
        load_checkpoint(base, adapter=adapter(tmp_path / "adapter", tensors))


def test_the_adapter_in_the_place_of_the_model(base: Path, tmp_path: Path) -> None:
    """Most tuning tools save nothing else; the base is the one that it names, where that is here."""
    folder = adapter(tmp_path / "adapter", GOOD, base_model_name_or_path=str(base))
    assert find_with_adapter(folder) == (base, folder)
    opened, given = tessera.load(folder), tessera.load(base, adapter=folder)
    assert opened.chat("hello", max_new_tokens=8) == given.chat("hello", max_new_tokens=8)
    assert "LoRA adapter" in opened.notes[-1]


def test_an_adapter_and_its_base_in_the_hubs_cache(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their names, without asking the network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("base", "tuned"):
        (tmp_path / "hub" / f"models--me--{name}" / "snapshots").mkdir(parents=True)
    cached = tmp_path / "hub/models--me--base/snapshots/1"
    base.rename(cached)
    folder = adapter(tmp_path / "hub/models--me--tuned/snapshots/2", GOOD, base_model_name_or_path="me/base")
    assert find_with_adapter("me/tuned") == find_with_adapter("me/base", "me/tuned") == (cached, folder)


def test_a_base_that_is_not_here_is_asked_for(base: Path, tmp_path: Path) -> None:
    for name in ("OpenGVLab/InternVL3-1B", "/gone/base", "", "\x00"):
        folder = adapter(tmp_path / "adapter", GOOD, base_model_name_or_path=name)
        with pytest.raises(ValueError, match="adapter is a LoRA adapter for .*: no such folder.*--adapter"):
            tessera.load(folder)
    with pytest.raises(ValueError, match="is an adapter, too"):
        tessera.load(folder, adapter=folder)
    with pytest.raises(ValueError, match="adapter = .*no folder with adapter_config.json"):
        tessera.load(base, adapter=tmp_path)
    folder = adapter(tmp_path / "adapter", GOOD, base_model_name_or_path=str(folder))
    with pytest.raises(ValueError, match="no such folder is here"):
        tessera.load(folder)


def test_a_conversion_merges_the_adapter(base: Path, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter", GOOD)
    done = convert(base, tmp_path / "out", "transformers", adapter=folder)
    assert done.merged and done.agreement is not None
    assert 0 < done.agreement.max_abs < 1e-4 * done.agreement.scale and done.tolerance == 1e-4
    merged, written = load_checkpoint(base, adapter=folder), load_checkpoint(tmp_path / "out")
    assert all(torch.equal(value, weights(written)[name]) for name, value in weights(merged).items())


CONFIGS: tuple[dict[str, Any], ...] = (
    {"target_modules": ["q_proj", "down_proj"], "r": 4, "lora_alpha": 6},
    {
        "target_modules": "all-linear",
        "r": 4,
        "lora_alpha": 6,
        "use_rslora": True,
        "exclude_modules": ["lm_head"],
    },
    {
        "target_modules": ["q_proj", "v_proj", "embed_tokens"],
        "r": 4,
        "rank_pattern": {"v_proj": 2},
        "alpha_pattern": {"layers.1.self_attn.q_proj": 3},
        "modules_to_save": ["multi_modal_projector"],
        "bias": "all",
    },
)


@pytest.mark.parametrize("number", range(len(CONFIGS)))
def test_peft_merges_to_the_same_weights(number: int, tmp_path: Path) -> None:
    """PEFT's own `merge_and_unload` as the oracle, where it is installed."""
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    base = kinds.saved(tmp_path / "toy", "qwen2", "transformers")
    theirs = transformers.AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    wrapped = peft.get_peft_model(theirs, peft.LoraConfig(**CONFIGS[number]))
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    wrapped.save_pretrained(tmp_path / "adapter")
    ours = weights(load_checkpoint(base, adapter=tmp_path / "adapter"))
    wrapped.merge_and_unload().save_pretrained(tmp_path / "merged")
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "config.json"):
        (tmp_path / "merged" / name).write_bytes((base / name).read_bytes())
    merged, plain = weights(load_checkpoint(tmp_path / "merged")), weights(load_checkpoint(base))
    changed = [name for name in plain if not torch.equal(plain[name], merged[name])]
    assert len(changed) > 3
    for name, tensor in merged.items():
        torch.testing.assert_close(ours[name], tensor, msg=name)


def test_a_merge_that_went_wrong_is_noticed(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that read back as written may still be wrong: logits with the factors apart tell it."""
    folder = adapter(tmp_path / "adapter", GOOD, base_model_name_or_path=str(base))
    done = merge_adapter(folder, tmp_path / "out")
    assert done.agreement is not None and done.agreement.within(1e-4) and done.layout == "official"
    right = Adapter._changed

    def wrong(self: Adapter, name: str, tensor: torch.Tensor, change: Any) -> torch.Tensor:
        return right(self, name, tensor, replace(change, scale=-change.scale))

    monkeypatch.setattr(Adapter, "_changed", wrong)
    with pytest.raises(ValueError, match="logits differ by .* after the conversion"):
        merge_adapter(folder, tmp_path / "spoilt", "transformers", base)
    assert not (tmp_path / "spoilt").exists()
