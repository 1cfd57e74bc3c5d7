"""Checkpoints in few bits: what is written opens as what loading in few bits makes, and lies are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import tessera
from tessera.checkpoints.conversion.convert import convert
from tessera.checkpoints.load import load_checkpoint, read_description
from tessera.checkpoints.quantised.form import FEW_BITS, FewBits, form_of
from tessera.checkpoints.quantised.writing import quantise_checkpoint
from tessera.nn.codes import quantise, quantise_4bit
from tessera.nn.quantised import Int8Linear, QuantisedLinear
from tests.checkpoints import kinds
from tests.checkpoints.test_adapter import adapter, pair
from tests.checkpoints.test_faults import edit, edit_weights

WEIGHT = "decoder.layers.0.mlp.up_proj.weight"
SCALE = WEIGHT.replace(".weight", ".scale")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return kinds.saved(tmp_path / "source", "qwen2", dtype=torch.bfloat16)


def written(source: Path, kind: FewBits = "int8", **options: Any) -> Path:
    target = source.with_name(f"{source.name}_{kind}")
    quantise_checkpoint(source, target, kind, **options)
    return target


def few_bits(model: torch.nn.Module) -> dict[str, QuantisedLinear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, QuantisedLinear)}


@pytest.mark.parametrize("layout", ["official", "transformers", "tessera"])
@pytest.mark.parametrize("kind", FEW_BITS)
def test_it_opens_as_what_loading_makes(kind: FewBits, layout: str, tmp_path: Path) -> None:
    """From any layout, fused matrices too: the codes on the disk are those that loading would make."""
    source = kinds.saved(tmp_path / "source", "internlm2", layout, dtype=torch.bfloat16)
    target = written(source, kind)
    made = few_bits(load_checkpoint(source, linears=kind).model)
    loaded = load_checkpoint(target, as_stored=True)
    found = few_bits(loaded.model)
    assert found.keys() == made.keys() and len(found) > 10
    for name, layer in found.items():
        assert type(layer) is type(made[name])
        assert torch.equal(layer.weight, made[name].weight) and torch.equal(layer.scale, made[name].scale)
        assert (layer.bias is None) == (made[name].bias is None)
        assert layer.bias is None or torch.equal(layer.bias, made[name].bias)  # type: ignore[arg-type]
    plain = dict(load_checkpoint(source).model.named_parameters())
    for name, parameter in loaded.model.named_parameters():
        assert torch.equal(parameter, plain[name]), name
    assert loaded.family == read_description(source).family == read_description(target).family
    assert kind in loaded.summary and loaded.notes == ()


@pytest.mark.parametrize("kind", FEW_BITS)
def test_load_opens_it_without_options(kind: FewBits, source: Path) -> None:
    target = written(source, kind)
    model = tessera.load(target)
    assert kind in model.summary and model.notes == ()
    wanted = tessera.load(source, load_in_8bit=kind == "int8", load_in_4bit=kind == "int4")
    assert few_bits(model.loaded.model).keys() == few_bits(wanted.loaded.model).keys(), "the head, too"
    assert model.chat("how many?", max_new_tokens=6) == wanted.chat("how many?", max_new_tokens=6)
    with pytest.raises(ValueError, match=f"load_in_8bit = True: .* is stored in {kind} already; leave it"):
        tessera.load(target, load_in_8bit=True)


def test_sizes_shards_and_what_travels(source: Path) -> None:
    (source / "README.md").write_text("a card")
    whole = sum(parameter.numel() for parameter in load_checkpoint(source).model.parameters())
    sizes = {}
    for kind in FEW_BITS:
        target = source.with_name(kind)
        done = quantise_checkpoint(source, target, kind, max_shard_bytes=20_000)
        assert len(list(target.glob("*.safetensors"))) > 1 and (target / "README.md").read_text() == "a card"
        assert done.bytes_before > 2 * whole and done.kept == () and "lm_head" not in str(done.linears)
        assert few_bits(load_checkpoint(target, as_stored=True).model).keys() == {*done.linears}
        sizes[kind] = done.bytes_after
    assert sizes["int4"] < sizes["int8"] < done.bytes_before


def test_kept_linears_stay_and_the_folder_says_so(source: Path) -> None:
    target = written(source, "int4", keep=("^vision", r"layers\.1\.mlp"))
    names = few_bits(load_checkpoint(target, as_stored=True).model)
    assert names and not any(n.startswith("vision") or "layers.1.mlp" in n for n in names)
    form = form_of(target)
    assert form is not None and form.kind == "int4" and form.keep == ("^vision", r"layers\.1\.mlp")
    assert form_of(source) is None


def test_weights_of_float32_are_rounded_once(tmp_path: Path) -> None:
    """Codes come from the numbers as they are stored; only scales and the rest are cast."""
    source = kinds.saved(tmp_path / "wide", "qwen2", dtype=torch.float32)
    stored = load_file(written(source) / "model.safetensors")
    weight = load_checkpoint(source).model.get_parameter(WEIGHT)
    wanted = quantise(weight, torch.bfloat16)
    assert torch.equal(stored[WEIGHT], wanted.weight) and torch.equal(stored[SCALE], wanted.scale)
    assert stored[SCALE].dtype == stored["decoder.norm.weight"].dtype == torch.bfloat16
    assert (wanted.dense() - weight).abs().amax(1).le(0.5001 * wanted.scale.float()).all()


@pytest.mark.parametrize("kind", FEW_BITS)
def test_others_open_it_as_floats_and_say_so(kind: FewBits, source: Path) -> None:
    """Training and conversion need floats: those that the codes stand for."""
    target = written(source, kind)
    loaded = load_checkpoint(target)
    assert loaded.notes == (f"{target}: weights stored in {kind} were opened as floats",)
    maker = quantise if kind == "int8" else quantise_4bit
    weight = load_checkpoint(source).model.get_parameter(WEIGHT)
    wanted = maker(weight.detach()).dense().bfloat16()
    assert torch.equal(loaded.model.get_parameter(WEIGHT), wanted)
    convert(target, back := source.with_name("back"), "official")
    assert torch.equal(load_checkpoint(back).model.get_parameter(WEIGHT), wanted)


def test_an_adapter_is_merged_into_floats(source: Path) -> None:
    folder = adapter(source.with_name("lora"), pair("decoder.layers.0.self_attn.o_proj", 32, 32))
    target = written(source)
    merged = load_checkpoint(target, adapter=folder, as_stored=True)
    assert not few_bits(merged.model) and "were opened as floats" in merged.notes[-1]
    name = "decoder.layers.0.self_attn.o_proj.weight"
    both = [load_checkpoint(root, adapter=folder).model.get_parameter(name) for root in (source, target)]
    assert (both[0] - both[1]).abs().max() < 0.05 * both[0].abs().max()
    with_it = written(source.rename(source.with_name("again")), adapter=folder)
    layer = load_checkpoint(with_it, as_stored=True).model.get_submodule(name.removesuffix(".weight"))
    assert isinstance(layer, Int8Linear) and torch.equal(layer.weight, quantise(both[0]).weight)


def test_wishes_that_cannot_be_met(source: Path) -> None:
    target = source.with_name("out")
    for options, message in (
        ({"kind": "int2"}, "kind = 'int2': choose int8 or int4"),
        ({"keep": ("layers(",)}, r"keep = 'layers\(' is no regular expression"),
        ({"keep": ("^visual",)}, "keep = '\\^visual' fits no linear layer of a block; .* such as vision"),
        ({"keep": (".",)}, "nothing is left to quantise"),
    ):
        with pytest.raises(ValueError, match=message):
            quantise_checkpoint(source, target, **{"kind": "int8", **options})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is stored in int8 already: give the checkpoint that it was made"):
        quantise_checkpoint(written(source), target, "int4")
    with pytest.raises(ValueError, match="not empty: nothing is overwritten"):
        quantise_checkpoint(source, source, "int8")
    edit_weights(source, lambda w: w[next(k for k in w if k.endswith("o_proj.weight"))].fill_(torch.nan))
    with pytest.raises(ValueError, match="o_proj.weight' holds numbers that are not finite"):
        quantise_checkpoint(source, target, "int8")
    assert not target.exists() and not list(source.parent.glob(".*")), "a failure leaves nothing"


LIES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "no weight": (lambda w: w.pop(WEIGHT), f"'{SCALE}' stands without '{WEIGHT}'"),
    "no scale": (lambda w: w.pop(SCALE), f"'{WEIGHT}' (is made of|has shape)"),
    "a plain weight": (lambda w: w.update({WEIGHT: w[WEIGHT].bfloat16()}), "which is no weight in int"),
    "other scales": (
        lambda w: w.update({SCALE: w[SCALE][:-1].clone()}),
        "with scales bfloat16 .* no weight in",
    ),
    "infinite": (lambda w: w[SCALE].fill_(torch.inf), f"the scales of '{WEIGHT}' are not all finite"),
    "a norm": (
        lambda w: w.update({"decoder.norm.scale": torch.ones(32)}),
        "'decoder.norm.weight' is in few bits, which only linear layers can be",
    ),
}


@pytest.mark.parametrize("as_stored", [True, False])
@pytest.mark.parametrize("kind", FEW_BITS)
@pytest.mark.parametrize("name", LIES)
def test_lies_are_named(name: str, kind: FewBits, as_stored: bool, source: Path) -> None:
    target, (change, message) = written(source, kind), LIES[name]
    edit_weights(target, change)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(target, as_stored=as_stored)


def test_the_config_is_believed_and_checked(source: Path) -> None:
    target = written(source, "int4")
    path = target / "tessera.json"
    assert json.loads(path.read_text())["format"] == 2, "older versions say: update"
    edit(path, lambda said: said["quantised"].update(kind="int8"))
    with pytest.raises(ValueError, match="which is no weight in int8, as tessera.json says|has shape"):
        load_checkpoint(target, as_stored=True)
    edit(path, lambda said: said["quantised"].update(kind="int3"))
    with pytest.raises(ValueError, match=r"tessera.json: quantised.kind = 'int3'"):
        tessera.load(target)
    edit(path, lambda said: said.update(format=3))
    with pytest.raises(ValueError, match="format = 3, this version reads 2: update"):
        read_description(target)
