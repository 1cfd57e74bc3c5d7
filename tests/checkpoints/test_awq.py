"""AWQ files against packing and unpacking written number by number from the published rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tessera
from tessera.checkpoints.hub import hub_name
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.quantised.awq import ORDER, repack, unpack
from tessera.checkpoints.quantised.writing import quantise_checkpoint
from tessera.models.config import DecoderKind
from tessera.nn.attention.layout import Packed
from tessera.nn.quantised import Int8Linear, OffsetInt4Linear
from tests.checkpoints import kinds
from tests.checkpoints.test_faults import edit, edit_weights
from tests.checkpoints.test_round_trip import assert_same_weights

GROUP = 16
SAID = {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm"}
PLACES = (0, 4, 1, 5, 2, 6, 3, 7)
"""Which 4 bits of a word the first, second … of eight outputs lie in, as AutoAWQ's reader has it."""
BLOCKS = "language_model.model.layers."


def packed(codes: list[list[int]]) -> torch.Tensor:
    """Codes [R, out] to words int32 [R, out / 8], one number at a time."""
    rows = []
    for row in codes:
        words = [0] * (len(row) // 8)
        for out, code in enumerate(row):
            words[out // 8] |= code << (4 * PLACES[out % 8])
        rows.append([word - 2**32 if word >= 2**31 else word for word in words])
    return torch.tensor(rows, dtype=torch.int32)


def unpacked_slowly(words: torch.Tensor) -> list[list[int]]:
    """Words to codes, one number at a time."""
    return [
        [(row[out // 8] % 2**32) // 16 ** PLACES[out % 8] % 16 for out in range(8 * len(row))]
        for row in words.tolist()
    ]


def awq_of(weight: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Parts of a linear's weight [out, in] as AWQ stores them, and the weight that they stand for."""
    out, inner = weight.shape
    parts = weight.float().view(out, inner // GROUP, GROUP)
    low, high = parts.amin(2).clamp_max(0), parts.amax(2).clamp_min(0)
    scale = ((high - low) / 15).clamp_min(1e-5).half()
    zero = (-low / scale.float()).round().clamp(0, 15)
    codes = (parts / scale.float()[..., None] + zero[..., None]).round().clamp(0, 15)
    dense = ((codes - zero[..., None]) * scale.float()[..., None]).view(out, inner).half()
    by_input = codes.view(out, inner).T.int().tolist()
    stored = {
        "qweight": packed(by_input),
        "qzeros": packed(zero.T.int().tolist()),
        "scales": scale.T.contiguous(),
    }
    return stored, dense


def as_awq(folder: Path, where: str = "llm_config") -> dict[str, torch.Tensor]:
    """Code the language model's linears in a folder; returns all tensors as they should open."""
    tensors = {key: tensor.half() for key, tensor in load_file(folder / "model.safetensors").items()}
    expected, stored = dict(tensors), dict(tensors)
    for key, tensor in tensors.items():
        if key.startswith(BLOCKS) and tensor.dim() == 2:
            parts, expected[key] = awq_of(tensor)
            del stored[key]
            stored |= {f"{key.removesuffix('weight')}{name}": part for name, part in parts.items()}
    save_file(stored, folder / "model.safetensors")
    edit(folder / "config.json", lambda c: (c if where == "" else c[where]).update(quantization_config=SAID))
    return expected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return kinds.saved(tmp_path / "InternVL2-toy-AWQ", "qwen2")


def test_unpacking() -> None:
    words = torch.randint(-(2**31), 2**31, (5, 3), dtype=torch.int32)
    assert unpack(words).tolist() == unpacked_slowly(words)
    codes = torch.tensor(unpacked_slowly(words[:4])).T
    assert torch.equal(repack(words[:4]), (codes[:, ::2] * 16 + codes[:, 1::2]).byte())
    assert packed(unpacked_slowly(words)).equal(words) and tuple(PLACES[out] for out in ORDER) == (*range(8),)


@pytest.mark.parametrize("kind", ["internlm2", "qwen2", "phi3"])
@pytest.mark.parametrize("where", ["", "llm_config"])
def test_it_opens_as_the_weights_that_it_stands_for(kind: DecoderKind, where: str, tmp_path: Path) -> None:
    """Fused matrices, biases, and both places of the config: one opens as the other to the bit."""
    coded, plain = kinds.saved(tmp_path / "coded", kind), kinds.saved(tmp_path / "plain", kind)
    save_file(as_awq(coded, where), plain / "model.safetensors")
    loaded, wanted = load_checkpoint(coded), load_checkpoint(plain)
    assert_same_weights(loaded.model, wanted.model)
    assert loaded.notes == (f"{coded}: weights stored in 4 bits (AWQ) were opened as floats",)
    assert loaded.model.decoder.norm.weight.dtype == torch.float16
    assert load_checkpoint(coded, dtype=torch.float32).model.decoder.norm.weight.dtype == torch.float32


def test_it_answers_and_goes_on_in_our_own_form(folder: Path) -> None:
    as_awq(folder)
    model = tessera.load(folder)
    assert "int4 and int8 and bfloat16" in model.summary and model.notes == ()
    assert isinstance(model.chat("how many?", max_new_tokens=3), str)
    done = quantise_checkpoint(folder, folder.with_name("ours"), "int8")
    assert "(AWQ) were opened as floats" in done.notes[0]
    ours, floats = tessera.load(done.target, dtype="float32"), load_checkpoint(folder).model
    name = "decoder.layers.0.mlp.up_proj"
    layer, wanted = ours.loaded.model.get_submodule(name), floats.get_parameter(f"{name}.weight").float()
    assert isinstance(layer, Int8Linear) and (layer.dense() - wanted).norm() < 0.01 * wanted.norm()


@pytest.mark.parametrize("kind", ["internlm2", "qwen2", "phi3"])
def test_it_stays_in_4_bits_for_answers(kind: DecoderKind, tmp_path: Path) -> None:
    """The language model's linears keep the codes, fused ones cut; each stands for the same weight."""
    as_awq(folder := kinds.saved(tmp_path / "awq", kind))
    model = load_checkpoint(folder, dtype=torch.float32, as_stored=True).model
    wanted = load_checkpoint(folder, dtype=torch.float32).model
    layers = {n: m for n, m in model.named_modules() if isinstance(m, OffsetInt4Linear)}
    linears = {n: m for n, m in wanted.decoder.layers.named_modules() if isinstance(m, torch.nn.Linear)}
    assert layers.keys() == {f"decoder.layers.{name}" for name in linears}
    for name, layer in layers.items():
        plain = wanted.get_submodule(name)
        torch.testing.assert_close(layer.dense(), plain.weight.detach(), rtol=1e-6, atol=1e-8)
        assert layer.weight.is_contiguous() and (layer.bias is None) == (plain.bias is None)
    ids, tiles = kinds.prompt()
    with torch.inference_mode():
        given, found = (m.logits(m(ids, Packed((len(ids),)), tiles=tiles)) for m in (wanted, model))
    torch.testing.assert_close(found, given, rtol=1e-3, atol=1e-3)


def test_names_of_awq_models_are_looked_up() -> None:
    assert hub_name("InternVL2-8B-AWQ") == "OpenGVLab/InternVL2-8B-AWQ"
    assert hub_name("internvl2_5-38b-awq") == "OpenGVLab/InternVL2_5-38B-AWQ"
    assert hub_name("InternVL3-1B-hf") == "OpenGVLab/InternVL3-1B-hf"


FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "3 bits": ({"bits": 3}, "quantization_config.bits = 3: of AWQ files those with 4 are read"),
    "another order": ({"version": "gemv"}, "version = 'gemv': of AWQ files those with 'gemm' are read"),
    "no zeros": ({"zero_point": False}, "zero_point = False: of AWQ files those with True"),
    "groups": ({"group_size": 0}, "group_size = 0: a number above 0 is needed"),
    "other groups": (
        {"group_size": 8},
        r"int32 \(32, \d\), int32 \(2, \d\), .* is not AWQ in 4 bits with groups of 8",
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_other_forms_are_named(name: str, folder: Path) -> None:
    as_awq(folder)
    change, message = FIELDS[name]
    edit(folder / "config.json", lambda c: c["llm_config"]["quantization_config"].update(change))
    with pytest.raises(ValueError, match=message):
        load_checkpoint(folder)


OUT = f"{BLOCKS}0.self_attn.o_proj"
LIES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "no zeros": (lambda w: w.pop(f"{OUT}.qzeros"), f"'{OUT}.qweight' stands without '{OUT}.qzeros'"),
    "short scales": (
        lambda w: w.update({f"{OUT}.scales": w[f"{OUT}.scales"][:1].clone()}),
        "is not AWQ in 4 bits",
    ),
    "floats": (lambda w: w.update({f"{OUT}.qzeros": w[f"{OUT}.qzeros"].float()}), "is not AWQ in 4 bits"),
    "infinite": (lambda w: w[f"{OUT}.scales"].fill_(torch.inf), "o_proj.scales' is not finite"),
    "another shape": (
        lambda w: w.update({f"{OUT}.qweight": w[f"{OUT}.qweight"][:, :2].clone()}),
        r"has shape \(16, 32\) but the config asks for \(32, 32\)",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_named(name: str, folder: Path) -> None:
    as_awq(folder)
    change, message = LIES[name]
    edit_weights(folder, change)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(folder)


def test_codes_that_the_config_does_not_know(folder: Path) -> None:
    as_awq(folder)
    edit(folder / "config.json", lambda c: c["llm_config"].pop("quantization_config"))
    with pytest.raises(ValueError, match="quantization_config is missing, but .*qweight' holds codes"):
        load_checkpoint(folder)
