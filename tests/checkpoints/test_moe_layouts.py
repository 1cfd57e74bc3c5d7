"""Decoders with experts, sinks and windows in every layout: opened, saved, opened again, by us and others."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.families.decoders.config import published_kind
from tessera.models.config import DecoderKind
from tessera.models.experts import ExpertsConfig
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.nn.linear import PackedLinear
from tessera.nn.quantised import QuantisedLinear
from tests.checkpoints import kinds
from tests.checkpoints.test_layouts import assert_same_answers, open_theirs
from tests.checkpoints.test_round_trip import assert_same_weights
from tests.engine import tiny

KINDS: tuple[DecoderKind, ...] = ("qwen3_moe", "gpt_oss")
FILE = "model.safetensors"


def _logits(model: VLM) -> torch.Tensor:
    ids, tiles = kinds.prompt()
    with torch.inference_mode():
        return model.logits(model(ids, Packed((len(ids),)), tiles=tiles)).float()


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_opens_them_and_answers_alike(kind: DecoderKind, tmp_path: Path) -> None:
    theirs = open_theirs(kinds.saved(tmp_path, kind, "transformers"))
    assert_same_answers(kinds.model(kind), theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_what_transformers_saves_opens(kind: DecoderKind, tmp_path: Path) -> None:
    theirs = open_theirs(kinds.saved(tmp_path / "ours", kind, "transformers"))
    theirs.save_pretrained(tmp_path / "theirs")
    for name in ("tokenizer.json", "tokenizer_config.json", "processor_config.json"):
        (tmp_path / "theirs" / name).write_bytes((tmp_path / "ours" / name).read_bytes())
    opened = load_checkpoint(tmp_path / "theirs")
    torch.testing.assert_close(_logits(opened.model), _logits(kinds.model(kind)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("layout", ["official", "transformers", "tessera"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_round_trip_keeps_config_and_weights(kind: DecoderKind, layout: str, tmp_path: Path) -> None:
    folder = kinds.saved(tmp_path, kind, layout)  # type: ignore[arg-type]
    opened = load_checkpoint(folder)
    assert opened.family.model.decoder == kinds.family(kind).model.decoder
    assert published_kind(opened.family.model.decoder) == kind
    assert_same_weights(opened.model, kinds.model(kind))


def test_the_keys_are_those_of_the_releases(tmp_path: Path) -> None:
    stored = load_file(kinds.saved(tmp_path / "q", "qwen3_moe") / FILE)
    block = "language_model.model.layers.0.mlp."
    assert stored[f"{block}gate.weight"].shape == (4, 32)
    assert stored[f"{block}experts.3.up_proj.weight"].shape == (24, 32)
    assert f"{block.replace('.0.', '.1.')}gate_proj.weight" in stored  # a dense block
    stored = load_file(kinds.saved(tmp_path / "g", "gpt_oss") / FILE)
    assert stored[f"{block}experts.gate_up_proj"].shape == (4, 32, 48)
    assert stored[f"{block}experts.gate_up_proj_bias"].shape == (4, 48)
    assert stored[f"{block}experts.down_proj"].shape == (4, 24, 32)
    assert stored["language_model.model.layers.1.self_attn.sinks"].shape == (4,)
    config = json.loads((tmp_path / "g" / "config.json").read_text())["llm_config"]
    assert config["layer_types"] == ["sliding_attention", "full_attention"]
    assert config["architectures"] == ["GptOssForCausalLM"]


def test_experts_in_one_tensor_open(tmp_path: Path) -> None:
    """Files of Qwen3-MoE may hold the experts of a block together, as the class has them in memory."""
    folder = kinds.saved(tmp_path, "qwen3_moe")
    stored = load_file(folder / FILE)
    block = "language_model.model.layers.0.mlp.experts."
    for name, parts in (("gate_up_proj", ("gate_proj", "up_proj")), ("down_proj", ("down_proj",))):
        each = [
            torch.cat([stored.pop(f"{block}{number}.{part}.weight") for part in parts]) for number in range(4)
        ]
        stored[f"{block}{name}"] = torch.stack(each)
    save_file(stored, folder / FILE, metadata={"format": "pt"})
    assert_same_weights(load_checkpoint(folder).model, kinds.model("qwen3_moe"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("linears", ["int8", "int4", "packed"])
def test_stacks_are_packed_and_quantised(kind: DecoderKind, linears: str, tmp_path: Path) -> None:
    """Every expert computes with its own rows of the codes, as a model of their values does."""
    opened = load_checkpoint(kinds.saved(tmp_path, kind), linears=linears)  # type: ignore[arg-type]
    stack = opened.model.get_submodule("decoder.layers.0.mlp.experts.down_proj")
    assert isinstance(stack, PackedLinear if linears == "packed" else QuantisedLinear)
    dense = copy.deepcopy(kinds.model(kind))
    for path, layer in opened.model.named_modules():
        if isinstance(layer, QuantisedLinear):
            dense.get_parameter(f"{path}.weight").data = layer.dense()
    torch.testing.assert_close(_logits(opened.model), _logits(dense), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "kind, field, value, told",
    [
        ("qwen3_moe", "num_experts_per_tok", 5, r"json: llm_config.num_experts_per_tok = 5: there are 4"),
        ("qwen3_moe", "num_experts", 3, "shape|fit no part"),
        ("qwen3_moe", "num_experts", 0, "llm_config.num_experts = 0: "),
        ("gpt_oss", "swiglu_limit", 0, "llm_config.swiglu_limit = 0"),
        ("gpt_oss", "layer_types", ["chunked"] * 2, "layer_types"),
        ("gpt_oss", "hidden_act", "gelu", "hidden_act"),
    ],
)
def test_wrong_configs_are_named(
    kind: DecoderKind, field: str, value: object, told: str, tmp_path: Path
) -> None:
    folder = kinds.saved(tmp_path, kind)
    config = json.loads((folder / "config.json").read_text())
    config["llm_config"][field] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=told):
        load_checkpoint(folder)


def _in_four_bits(folder: Path) -> dict[str, torch.Tensor]:
    """Experts of a saved toy model replaced by drawn MXFP4; the floats that transformers reads from them."""
    stored, floats = load_file(folder / FILE), {}
    generator = torch.Generator().manual_seed(8)
    for key in [key for key in stored if key.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
        experts, inner, out = stored.pop(key).shape
        blocks = torch.randint(0, 256, (experts, out, inner // 32, 16), generator=generator).to(torch.uint8)
        scales = torch.randint(118, 125, (experts, out, inner // 32), generator=generator).to(torch.uint8)
        stored |= {f"{key}_blocks": blocks, f"{key}_scales": scales}
        floats[key] = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    save_file(stored, folder / FILE, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["llm_config"]["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": []}
    (folder / "config.json").write_text(json.dumps(config))
    return floats


def test_four_bit_experts_are_decoded_exactly(tmp_path: Path) -> None:
    """Blocks and scales of GPT-OSS, as floats and kept in four bits; both answer as their values do."""
    wide = kinds.family("gpt_oss")
    experts = ExpertsConfig(
        count=3, top_k=2, intermediate_size=64, shares="chosen", gate="clamped", bias=True
    )
    decoder = wide.model.decoder.model_copy(update={"experts": experts, "intermediate_size": 64})
    family = wide.model_copy(update={"model": wide.model.model_copy(update={"decoder": decoder})})
    model = VLM(family.model).eval()
    initialise(model, 3)
    folder = save_checkpoint(tmp_path, model, family, tiny.tokenizer(), "official")
    floats = _in_four_bits(folder)
    opened = load_checkpoint(folder, dtype=torch.float32)
    for key, expected in floats.items():
        name = key.replace("language_model.model", "decoder") + ".weight"
        own = opened.model.get_parameter(name).unflatten(0, (3, -1)).transpose(1, 2)
        assert torch.equal(own, expected)
    kept = load_checkpoint(folder, dtype=torch.float32, as_stored=True)
    assert type(kept.model.get_submodule("decoder.layers.0.mlp.experts.down_proj")).__name__ == "Mxfp4Linear"
    torch.testing.assert_close(_logits(kept.model), _logits(opened.model), rtol=1e-4, atol=1e-4)
    broken = load_file(folder / FILE)
    broken[next(key for key in broken if key.endswith("_scales"))].fill_(255)
    save_file(broken, folder / FILE, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="a scale of .* is no number"):
        load_checkpoint(folder)
