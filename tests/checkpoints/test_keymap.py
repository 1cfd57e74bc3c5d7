"""Key tables: the published names written out by hand, splits and joins against brute force."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tessera.checkpoints.save import layout_for
from tessera.checkpoints.weights import tensors_of, write_as
from tessera.families.keymap import Group, KeyMap, KeyRule
from tessera.models.config import DecoderKind
from tests.checkpoints import kinds

BOTH = ("weight", "bias")
LLAMA = ("o_proj", "q_proj", "k_proj", "v_proj")


def llama_block(prefix: str) -> set[str]:
    keys = {f"{prefix}.self_attn.{name}.weight" for name in LLAMA}
    keys |= {f"{prefix}.mlp.{name}_proj.weight" for name in ("gate", "up", "down")}
    return keys | {f"{prefix}.{name}.weight" for name in ("input_layernorm", "post_attention_layernorm")}


def official_decoder(kind: DecoderKind) -> set[str]:
    """docs/facts/key_names.md, written out by hand."""
    blocks = [f"language_model.model.layers.{i}" for i in range(2)]
    if kind == "internlm2":
        keys = {"model.tok_embeddings.weight", "model.norm.weight", "output.weight"}
        names = ("attention.wqkv", "attention.wo", "attention_norm", "ffn_norm")
        names += tuple(f"feed_forward.w{i}" for i in (1, 2, 3))
        return {f"language_model.{k}" for k in keys} | {f"{b}.{n}.weight" for b in blocks for n in names}
    keys = {f"language_model.{k}.weight" for k in ("model.embed_tokens", "model.norm", "lm_head")}
    for block in blocks:
        keys |= llama_block(block)
        if kind == "qwen2":
            keys |= {f"{block}.self_attn.{letter}_proj.bias" for letter in "qkv"}
        if kind == "qwen3":
            keys |= {f"{block}.self_attn.{letter}_norm.weight" for letter in "qk"}
        if kind == "phi3":
            split = {f"self_attn.{letter}_proj" for letter in "qkv"} | {"mlp.gate_proj", "mlp.up_proj"}
            keys -= {f"{block}.{name}.weight" for name in split}
            keys |= {f"{block}.{name}.weight" for name in ("self_attn.qkv_proj", "mlp.gate_up_proj")}
    return keys


@pytest.mark.parametrize("vit", kinds.VITS)
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_official_keys(kind: DecoderKind, vit: str, tmp_path: Path) -> None:
    kinds.saved(tmp_path, kind, vit=vit)
    expected = official_decoder(kind)
    expected |= {f"vision_model.embeddings.{k}" for k in ("class_embedding", "position_embedding")}
    expected |= {f"vision_model.embeddings.patch_embedding.{k}" for k in BOTH}
    expected |= {f"mlp1.{i}.{k}" for i in (0, 1, 3) for k in BOTH}
    for i in range(2):
        block = f"vision_model.encoder.layers.{i}"
        expected |= {f"{block}.{part}.{k}" for part in ("attn.proj", "mlp.fc1", "mlp.fc2") for k in BOTH}
        expected |= {f"{block}.{part}.weight" for part in ("attn.qkv", "norm1", "norm2")}
        expected |= {f"{block}.{part}" for part in ("ls1", "ls2")}
        if vit == "300M":
            expected |= {f"{block}.{part}.bias" for part in ("attn.qkv", "norm1", "norm2")}
        else:
            expected |= {f"{block}.attn.{letter}_norm.weight" for letter in "qk"}
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert set(file.keys()) == expected


def test_wqkv_rows_by_brute_force(tmp_path: Path) -> None:
    """docs/facts/key_names.md: per key-value head its query heads in order, then its key, then its value."""
    model, family = kinds.model("internlm2"), kinds.family("internlm2")
    kinds.saved(tmp_path, "internlm2")
    fused = load_file(tmp_path / "model.safetensors")["language_model.model.layers.1.attention.wqkv.weight"]
    config, attention = family.model.decoder, model.decoder.layers[1].self_attn
    width, keys = config.head_width, config.num_key_value_heads
    per_group = config.num_attention_heads // keys
    assert per_group == 2 and keys == 2, "a case in which the order matters"

    def head(name: str, number: int) -> torch.Tensor:
        return getattr(attention, name).weight[number * width : (number + 1) * width]

    rows = []
    for group in range(keys):
        rows += [head("q_proj", group * per_group + j) for j in range(per_group)]
        rows += [head("k_proj", group), head("v_proj", group)]
    assert torch.equal(fused, torch.cat(rows))


def test_phi3_rows(tmp_path: Path) -> None:
    model = kinds.model("phi3")
    kinds.saved(tmp_path, "phi3")
    tensors = load_file(tmp_path / "model.safetensors")
    block = model.decoder.layers[0]
    attention, mlp = block.self_attn, block.mlp
    fused = tensors["language_model.model.layers.0.self_attn.qkv_proj.weight"]
    whole = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
    assert torch.equal(fused, torch.cat(whole))
    gate_up = tensors["language_model.model.layers.0.mlp.gate_up_proj.weight"]
    assert torch.equal(gate_up, torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]))


@pytest.mark.parametrize("own, keys", [((6, 2, 2), None), ((12, 4, 4), 2), ((4, 2), None)])
def test_splits_undo_joins(own: tuple[int, ...], keys: int | None) -> None:
    """Weights and biases come back bit for bit, in shapes that the group foretells."""
    names = tuple("abc"[: len(own)])
    group = Group(names, ("fused",), keys)
    for rest in ((5,), ()):
        parts = [torch.randn(rows, *rest) for rows in own]
        shapes = [tuple(part.shape) for part in parts]
        (fused,) = group.to_stored(parts)
        assert group.stored_shapes(shapes) == [tuple(fused.shape)]
        back = group.to_own([fused], shapes)
        assert all(torch.equal(a, b) for a, b in zip(parts, back, strict=True))


def test_one_own_tensor_may_be_three_stored() -> None:
    group = Group(("qkv",), ("q", "k", "v"))
    fused = torch.randn(6, 3)
    stored = group.to_stored([fused])
    assert group.stored_shapes([(6, 3)]) == [tuple(part.shape) for part in stored] == [(2, 3)] * 3
    assert torch.equal(group.to_own(stored, [(6, 3)])[0], fused)


def test_a_name_without_a_row_is_an_error() -> None:
    with pytest.raises(ValueError, match="'audio.weight' has no name in this layout"):
        KeyMap([KeyRule(("vision.",), ("v.",))]).group("audio.weight")


def test_an_incomplete_group_is_an_error() -> None:
    """A table must not drop a matrix because its neighbours never came."""
    family = kinds.family("internlm2")
    tensors = [(name, t) for name, t in tensors_of(kinds.model("internlm2")) if "k_proj" not in name]
    with pytest.raises(ValueError, match=r"wqkv.weight' needs 'decoder.layers.0.self_attn.k_proj.weight'"):
        list(write_as(tensors, layout_for(family, "official").key_table(family)))
