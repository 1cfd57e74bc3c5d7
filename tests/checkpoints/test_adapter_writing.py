"""Adapters that are written: read back to the same factors, and opened by PEFT with the same logits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.lora.writing import AdapterPlan
from tessera.checkpoints.save import save_checkpoint
from tessera.models.config import DecoderKind
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM, normalise
from tessera.nn.attention.layout import Packed
from tessera.nn.lora import LoRAConfig, LoRALinear, added, lora_linears, own_name, replace_module
from tests.checkpoints import kinds
from tests.engine import tiny

ALL = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "_proj", "linear_1")
FEW = ("q_proj", "v_proj", "up_proj", "attn.qkv")
LAYOUTS: tuple[tuple[DecoderKind, LayoutName, str], ...] = (
    ("qwen2", "official", "300M"),
    ("qwen2", "transformers", "300M"),
    ("internlm2", "official", "300M"),
    ("internlm2", "transformers", "6B"),
    ("phi3", "official", "300M"),
    ("llama", "tessera", "300M"),
)


def wrapped(base: Path, endings: tuple[str, ...], rslora: bool = False) -> VLM:
    """The base with drawn factors of two ranks, one dropout and, where ranks differ, two scales."""
    model = load_checkpoint(base).model
    generator = torch.Generator().manual_seed(1)
    for path, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and path.endswith(endings):
            small = path.endswith(("v_proj", "fc2"))
            config = LoRAConfig(rank=2 if small else 3, alpha=6, dropout=0, rslora=rslora)
            layer = LoRALinear(module, config, len(path))
            with torch.no_grad():
                layer.lora_B.copy_(0.2 * torch.randn(layer.lora_B.shape, generator=generator))
            replace_module(model, path, layer)
    return model.eval()


def configs(model: VLM) -> dict[str, LoRAConfig]:
    return {path: layer.config for path, layer in lora_linears(model)}


def tensors(model: VLM) -> dict[str, torch.Tensor]:
    return {own_name(name): parameter.detach() for name, parameter in model.named_parameters()}


def write(folder: Path, model: VLM, base: Path, trained: tuple[str, ...] = ()) -> Path:
    said = load_checkpoint(base)
    folder.mkdir()
    plan = AdapterPlan.of(configs(model), said.family, said.layout, str(base), trained)
    plan.write(folder, tensors(model).items())
    return folder


def expected(model: VLM) -> dict[str, torch.Tensor]:
    """The weights with the factors merged in."""
    found = {name: tensor for name, tensor in tensors(model).items() if "lora_" not in name}
    for path, layer in lora_linears(model):
        found[f"{path}.weight"] = added(layer.weight, layer.lora_B, layer.lora_A, layer.scale).detach()
    return found


@torch.inference_mode()
def logits(model: VLM) -> torch.Tensor:
    ids, tiles = kinds.prompt()
    return model.logits(model(ids, Packed((len(ids),)), tiles=tiles))


@pytest.mark.parametrize(("kind", "layout", "vit"), LAYOUTS)
@pytest.mark.parametrize("endings", [ALL, FEW])
def test_what_is_written_is_read(
    kind: DecoderKind, layout: LayoutName, vit: str, endings: tuple[str, ...], tmp_path: Path
) -> None:
    """Merged to the same weights, and attached with the same ranks, in every layout, fused or cut."""
    base = kinds.saved(tmp_path / "base", kind, layout, vit)
    model = wrapped(base, endings)
    folder = write(tmp_path / "adapter", model, base)
    assert find_with_adapter(folder) == (base, folder)
    merged = dict(load_checkpoint(base, adapter=folder).model.named_parameters())
    for name, wanted in expected(model).items():
        torch.testing.assert_close(merged[name], wanted, msg=name, atol=1e-6, rtol=1e-5)
    attached = load_checkpoint(base, adapter=folder, apart=True).model
    ranks = {path: layer.rank for path, layer in lora_linears(attached)}
    assert ranks == {path: layer.rank for path, layer in lora_linears(model)}
    torch.testing.assert_close(logits(attached), logits(model), atol=1e-4, rtol=1e-4)


def test_factors_come_back_to_the_bit(tmp_path: Path) -> None:
    """InternLM2's wqkv holds three pairs in one of the sum of their ranks."""
    base = kinds.saved(tmp_path / "base", "internlm2")
    model = wrapped(base, FEW)
    folder = write(tmp_path / "adapter", model, base)
    stored = load_file(folder / "adapter_model.safetensors")
    key = "base_model.model.language_model.model.layers.0.attention.wqkv.lora_A.weight"
    assert stored[key].shape == (3 + 2, 32)
    attached = dict(load_checkpoint(base, adapter=folder, apart=True).model.named_parameters())
    for name, parameter in model.named_parameters():
        if name.endswith("q_proj.lora_A") or name.endswith("q_proj.lora_B"):
            assert torch.equal(attached[name], parameter)
        elif "v_proj.lora_B" in name:  # another scale is taken into it
            torch.testing.assert_close(attached[name], 1.5 * parameter)


def test_config(tmp_path: Path) -> None:
    base = kinds.saved(tmp_path / "base", "qwen2")
    folder = write(tmp_path / "adapter", wrapped(base, FEW, rslora=True), base, ("connector.norm.bias",))
    said = json.loads((folder / "adapter_config.json").read_text())
    assert (said["r"], said["lora_alpha"], said["use_rslora"]) == (3, 6, True)
    assert said["base_model_name_or_path"] == str(base)
    assert said["target_modules"] == ["q_proj", "qkv", "up_proj", "v_proj"]
    assert set(said["rank_pattern"].values()) == {2} and not said["alpha_pattern"]
    assert said["modules_to_save"] == ["mlp1.0"]
    keys = load_file(folder / "adapter_model.safetensors")
    assert {k for k in keys if "mlp1" in k} == {
        f"base_model.model.mlp1.0.{leaf}" for leaf in ("weight", "bias")
    }


def test_names_that_also_mean_others_are_longer(tmp_path: Path) -> None:
    """Only the decoder's query is wrapped, but transformers' ViT has one of that name, too."""
    base = kinds.saved(tmp_path / "base", "qwen2", "transformers")
    folder = write(tmp_path / "adapter", wrapped(base, ("self_attn.q_proj",)), base)
    said = json.loads((folder / "adapter_config.json").read_text())
    assert said["target_modules"] == ["self_attn.q_proj"]


def test_what_peft_cannot_hold_is_known_before(tmp_path: Path) -> None:
    base = kinds.saved(tmp_path / "base", "qwen2")
    said = load_checkpoint(base)
    for trained in ("vision.layers.0.ls1", "vision.layers.0.attn.qkv.bias"):
        with pytest.raises(ValueError, match="vision.layers.0.*has LoRA factors.*train it in another stage"):
            AdapterPlan.of(configs(wrapped(base, ALL)), said.family, said.layout, "", (trained,))


OLD_NAMES = (
    ("model.language_model.", "language_model.model."),
    ("model.", ""),
    ("lm_head.", "language_model.lm_head."),
)


def rename(base: Path) -> None:
    """The names under which files on the hub were written before transformers' modules were moved."""
    stored = load_file(base / "model.safetensors")
    renamed = {
        next((new + key.removeprefix(old) for old, new in OLD_NAMES if key.startswith(old)), key): tensor
        for key, tensor in stored.items()
    }
    save_file(renamed, base / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(("kind", "vit"), [("qwen2", "300M"), ("internlm2", "6B"), ("phi3", "300M")])
@pytest.mark.parametrize("endings", [ALL, FEW])
def test_peft_opens_it_with_the_same_logits(
    kind: DecoderKind, vit: str, endings: tuple[str, ...], tmp_path: Path
) -> None:
    """Over transformers' own model of the base, in either set of its names; the connector's norm and the head
    are trained themselves."""
    peft = pytest.importorskip("peft", reason="peft, which has to open adapters, is not installed")
    transformers = pytest.importorskip("transformers")
    base = kinds.saved(tmp_path / "base", kind, "transformers", vit)
    if endings is ALL:
        rename(base)
    model = wrapped(base, endings, rslora=True)
    trained = ("connector.norm.weight", "decoder.lm_head.weight", "decoder.norm.weight")
    with torch.no_grad():
        for name in trained:
            dict(model.named_parameters())[name].mul_(1.5)
    folder = write(tmp_path / "adapter", model, base, trained)
    theirs = transformers.AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    opened = peft.PeftModel.from_pretrained(theirs, folder).eval()
    wrong = [n for n, p in opened.named_parameters() if "lora_B" in n and not p.any()]
    assert not wrong, "PEFT found every factor"
    ids, tiles = kinds.prompt()
    pixels = normalise(tiles, model.config.mean, model.config.std, torch.float32)
    with torch.inference_mode():
        answer = opened(input_ids=ids[None], pixel_values=pixels).logits[0]
    torch.testing.assert_close(answer, logits(model), atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(
        answer, logits(load_checkpoint(base, adapter=folder).model), atol=2e-4, rtol=1e-3
    )


def test_a_tied_embedding_comes_with_its_head(tmp_path: Path) -> None:
    """Trained itself in a model whose head is tied: published layouts get both, and both are read as one."""
    toy = kinds.family("qwen2")
    decoder = toy.model.decoder.model_copy(update={"tie_word_embeddings": True})
    toy = toy.model_copy(update={"model": toy.model.model_copy(update={"decoder": decoder})})
    plain = VLM(toy.model)
    initialise(plain, 3)
    base = save_checkpoint(tmp_path / "base", plain, toy, tiny.tokenizer(), "official")
    files = load_file(base / "model.safetensors")
    del files["language_model.lm_head.weight"]  # as released folders of tied models have it
    save_file(files, base / "model.safetensors")
    config = json.loads((base / "config.json").read_text())
    config["llm_config"]["tie_word_embeddings"] = True
    (base / "config.json").write_text(json.dumps(config))
    model = wrapped(base, FEW)
    assert model.decoder.lm_head.weight is model.decoder.embed_tokens.weight
    with torch.no_grad():
        model.decoder.embed_tokens.weight.mul_(1.5)
    folder = write(tmp_path / "adapter", model, base, ("decoder.embed_tokens.weight",))
    torch.testing.assert_close(logits(load_checkpoint(base, adapter=folder).model), logits(model))
    stored = load_file(folder / "adapter_model.safetensors")
    stored["base_model.model.language_model.lm_head.weight"] += 1
    save_file(stored, folder / "adapter_model.safetensors")
    with pytest.raises(ValueError, match="lm_head.weight' of the adapter differs from the embedding"):
        load_checkpoint(base, adapter=folder)


def test_factors_that_were_not_trained_come_back(tmp_path: Path) -> None:
    """B is zero at first: A is kept all the same, so that a run goes on with it."""
    base = kinds.saved(tmp_path / "base", "qwen2")
    model = wrapped(base, FEW)
    with torch.no_grad():
        for _, layer in lora_linears(model):
            layer.lora_B.zero_()
    folder = write(tmp_path / "adapter", model, base)
    attached = tensors(load_checkpoint(base, adapter=folder, apart=True).model)
    assert all(torch.equal(attached[name], tensor) for name, tensor in tensors(model).items())
