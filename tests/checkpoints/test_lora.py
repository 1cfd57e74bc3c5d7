"""LoRA checkpoints in the official form merge to what peft merges, or say what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tessera.checkpoints.files.lora import MergedReader, is_lora
from tessera.checkpoints.files.shards import ShardReader
from tessera.families.internvl.config.official import LORA_RANKS as RANKS
from tessera.runtime.json_file import Section

LAYER = "language_model.base_model.model.model.layers.0."
VISION = "vision_model.base_model.model.encoder.layers.1."
CONFIG = {"use_llm_lora": 4, "use_backbone_lora": 2}
SAID = Section("config.json", CONFIG)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def wrapped(module: str, out: int, width: int, rank: int, **more: Any) -> dict[str, torch.Tensor]:
    """A linear as PEFT leaves it in a checkpoint."""
    return {
        f"{module}.base_layer.weight": noise(out, width, seed=1, **more),
        f"{module}.lora_A.default.weight": noise(rank, width, seed=2, **more),
        f"{module}.lora_B.default.weight": noise(out, rank, seed=3, **more),
    }


def internlm2() -> dict[str, torch.Tensor]:
    """Two ranks: 4 on the language model's fused wqkv and w1, 2 on the ViT; the rest as it is."""
    return {
        **wrapped(f"{LAYER}attention.wqkv", 16, 8, 4),
        **wrapped(f"{LAYER}feed_forward.w1", 12, 8, 4),
        f"{LAYER}attention_norm.weight": noise(8),
        "language_model.base_model.model.output.weight": noise(20, 8),
        **wrapped(f"{VISION}attn.qkv", 18, 6, 2),
        f"{VISION}attn.qkv.base_layer.bias": noise(18, seed=5),
        "mlp1.1.weight": noise(8, 24),
    }


def reader_of(folder: Path, tensors: dict[str, torch.Tensor]) -> ShardReader:
    save_file(tensors, folder / "model.safetensors")
    return ShardReader(folder)


def test_keys_lose_the_wrapping(tmp_path: Path) -> None:
    with reader_of(tmp_path, internlm2()) as reader:
        view = MergedReader(reader, SAID, RANKS)
        assert set(view.files) == {
            "language_model.model.layers.0.attention.wqkv.weight",
            "language_model.model.layers.0.feed_forward.w1.weight",
            "language_model.model.layers.0.attention_norm.weight",
            "language_model.output.weight",
            "vision_model.encoder.layers.1.attn.qkv.weight",
            "vision_model.encoder.layers.1.attn.qkv.bias",
            "mlp1.1.weight",
        }
        assert is_lora(reader.files) and not is_lora(view.files)
        key = "vision_model.encoder.layers.1.attn.qkv.weight"
        assert view.shape(key) == (18, 6)
        assert view.place(key) == str(tmp_path / "model.safetensors") and view.folder == tmp_path


def test_merging_is_the_formula(tmp_path: Path) -> None:
    """W + (alpha / r) B A with alpha = 2 r, whatever the rank; other tensors pass through."""
    stored = internlm2()
    with reader_of(tmp_path, stored) as reader:
        view = MergedReader(reader, SAID, RANKS)
        for part in (f"{LAYER}attention.wqkv", f"{LAYER}feed_forward.w1", f"{VISION}attn.qkv"):
            up, down = stored[f"{part}.lora_B.default.weight"], stored[f"{part}.lora_A.default.weight"]
            expected = stored[f"{part}.base_layer.weight"] + 2.0 * (up @ down)
            merged = view.tensor(f"{part}.weight".replace(".base_model.model.", "."))
            torch.testing.assert_close(merged, expected)
        bias = view.tensor("vision_model.encoder.layers.1.attn.qkv.bias")
        assert torch.equal(bias, stored[f"{VISION}attn.qkv.base_layer.bias"])
        assert torch.equal(view.tensor("mlp1.1.weight"), stored["mlp1.1.weight"])


def test_half_precision_is_merged_in_float32(tmp_path: Path) -> None:
    """One rounding at the end: the sum of float32 factors, cast once."""
    stored = wrapped(f"{LAYER}attention.wo", 64, 64, 4, dtype=torch.bfloat16)
    base, down, up = (tensor.float() for tensor in stored.values())
    with reader_of(tmp_path, stored) as reader:
        merged = MergedReader(reader, SAID, RANKS).tensor("language_model.model.layers.0.attention.wo.weight")
    assert merged.dtype == torch.bfloat16
    assert torch.equal(merged, (base + 2 * (up @ down)).bfloat16())


def test_old_wrapping_without_base_layer(tmp_path: Path) -> None:
    """peft before 0.6 left the weight under its own name."""
    new = wrapped(f"{LAYER}attention.wo", 8, 8, 4)
    old = {key.replace(".base_layer", "").replace(".default", ""): tensor for key, tensor in new.items()}
    name = "language_model.model.layers.0.attention.wo.weight"
    (tmp_path / "new").mkdir()
    with reader_of(tmp_path, old) as one, reader_of(tmp_path / "new", new) as two:
        first, second = (MergedReader(reader, SAID, RANKS).tensor(name) for reader in (one, two))
        assert torch.equal(first, second)


class Toy(nn.Module):
    """A language model with one InternLM2-style block, for peft to wrap."""

    def __init__(self) -> None:
        super().__init__()
        self.config = {"model_type": "toy"}
        self.model = nn.ModuleDict({"attention": nn.ModuleDict({"wqkv": nn.Linear(8, 24, bias=False)})})
        self.model["feed_forward"] = nn.ModuleDict({"w1": nn.Linear(8, 16, bias=True)})
        self.output = nn.Linear(8, 10, bias=False)


@pytest.mark.parametrize("rank", [1, 4])
@pytest.mark.parametrize("part", ["language_model", "vision_model"])
def test_peft_merges_to_the_same(part: str, rank: int, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="peft, the oracle of merging, is not installed")
    torch.manual_seed(rank)
    targets = ["attention.wqkv", "feed_forward.w1"]
    model = peft.get_peft_model(Toy(), peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at the start: give it something to add
            nn.init.normal_(parameter)
    stored = {f"{part}.{name}": tensor.clone() for name, tensor in model.state_dict().items()}
    config = {"use_llm_lora": rank} if part == "language_model" else {"use_backbone_lora": rank}
    expected = model.merge_and_unload().state_dict()
    with reader_of(tmp_path, stored) as reader:
        view = MergedReader(reader, Section("config.json", config), RANKS)
        assert set(view.files) == {f"{part}.{name}" for name in expected}
        for name, tensor in expected.items():
            torch.testing.assert_close(view.tensor(f"{part}.{name}"), tensor, rtol=0, atol=1e-6)


A, B = f"{LAYER}attention.wo.lora_A.default.weight", f"{LAYER}attention.wo.lora_B.default.weight"
BASE = f"{LAYER}attention.wo.base_layer.weight"
MISTAKES: list[tuple[dict[str, tuple[int, ...] | None], dict[str, int], str]] = [
    ({}, {"use_llm_lora": 0}, "use_llm_lora = 0 but the factors .* have rank 4"),
    ({}, {"use_llm_lora": 8}, "set use_llm_lora to the rank"),
    ({A: None}, CONFIG, "lora_B.* stands without the other factor"),
    ({B: None}, CONFIG, "lora_A.* stands without the other factor"),
    ({BASE: None}, CONFIG, "stands without the weight that it changes"),
    ({A: (4, 9)}, CONFIG, r"factors \(8, 4\) and \(4, 9\) .* do not make a weight \(8, 8\)"),
    ({B: (8, 3)}, CONFIG, "belong to another model"),
    (
        {f"{LAYER}attention.wo.lora_magnitude_vector.default.weight": (8,)},
        CONFIG,
        "not one of the plain pairs",
    ),
    ({f"{LAYER}attention.wo.lora_A.other.weight": (4, 8)}, CONFIG, "not one of the plain pairs"),
    ({f"{LAYER}attention.wo.weight": (8, 8)}, CONFIG, "second version of a weight"),
    ({f"{LAYER}norm.modules_to_save.default.weight": (8,)}, CONFIG, "second version of a weight"),
]


@pytest.mark.parametrize(("changes", "config", "message"), MISTAKES)
def test_what_is_not_the_official_form(
    changes: dict[str, tuple[int, ...] | None], config: dict[str, int], message: str, tmp_path: Path
) -> None:
    """File, key and remedy are named before any weight is read."""
    tensors = wrapped(f"{LAYER}attention.wo", 8, 8, 4)
    for key, shape in changes.items():
        tensors.pop(key, None)
        if shape is not None:
            tensors[key] = noise(*shape)
    with reader_of(tmp_path, tensors) as reader, pytest.raises(ValueError, match=message) as caught:
        MergedReader(reader, Section(f"{tmp_path}/config.json", config), RANKS)
    assert str(tmp_path) in str(caught.value)
