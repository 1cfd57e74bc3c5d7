"""How weights get into a model: packed or in 8 bits, over several devices, within bounded memory."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tessera.checkpoints.fill import fill
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.families.family import Family
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.nn.linear import LinearKind, PackedLinear
from tessera.nn.quantised import Int8Linear
from tests.checkpoints import kinds
from tests.checkpoints.test_round_trip import assert_same_weights, other_member
from tests.engine import tiny

BLOCKS = ("vision.layers.", "decoder.layers.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fused files: what is packed or quantised is parted first."""
    return kinds.saved(tmp_path / "official", "internlm2", vit="6B")


def logits(model: VLM) -> torch.Tensor:
    ids, tiles = kinds.prompt()
    with torch.inference_mode():
        return model.logits(model(ids, Packed((len(ids),)), tiles=tiles))


def of_kind(model: VLM, kind: type[nn.Module]) -> set[str]:
    return {name for name, module in model.named_modules() if isinstance(module, kind)}


def test_packed(folder: Path) -> None:
    """Every linear but none else, the same numbers, before and after the layout of the second use."""
    plain, packed = load_checkpoint(folder).model, load_checkpoint(folder, linears="packed").model
    assert of_kind(packed, PackedLinear) == of_kind(plain, nn.Linear) and not of_kind(packed, nn.Linear)
    expected = logits(plain)
    for _ in range(3):
        torch.testing.assert_close(logits(packed), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("linears", ["plain", "int8"])
def test_models_that_stay_keep_no_window(linears: LinearKind, folder: Path) -> None:
    """Files may be overwritten in place."""
    model = load_checkpoint(folder, linears=linears).model
    expected = logits(model)
    for path in folder.glob("*.safetensors"):
        path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(logits(model), expected)


def test_packed_files_may_be_replaced(folder: Path) -> None:
    """Packed weights stay windows into the files until they are used; a later save there does no harm."""
    expected = logits(load_checkpoint(folder).model)
    packed = load_checkpoint(folder, linears="packed").model
    other = copy.deepcopy(kinds.model("internlm2", "6B"))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    save_checkpoint(folder, other, kinds.family("internlm2", "6B"), tiny.tokenizer(), "official")
    torch.testing.assert_close(logits(packed), expected, rtol=1e-5, atol=1e-5)


def test_int8(folder: Path) -> None:
    """The blocks' linears; connector, embeddings and head keep their precision."""
    loaded = load_checkpoint(folder, linears="int8")
    model = loaded.model
    assert of_kind(model, Int8Linear) == {
        name for name in of_kind(load_checkpoint(folder).model, nn.Linear) if name.startswith(BLOCKS)
    }
    assert of_kind(model, nn.Linear) == {"connector.linear_1", "connector.linear_2", "decoder.lm_head"}
    exact = logits(load_checkpoint(folder).model)
    error = (logits(model) - exact).abs().max() / exact.abs().max()
    assert 0 < error < 0.1
    assert "int8 and float32 on cpu" in loaded.summary


def test_a_tied_head_stays_tied(tmp_path: Path) -> None:
    model, family = other_member()
    save_checkpoint(tmp_path, model, family, tiny.tokenizer())
    decoder = load_checkpoint(tmp_path, linears="packed").model.decoder
    assert decoder.lm_head.weight is decoder.embed_tokens.weight


def test_dtype_is_that_of_every_part(folder: Path) -> None:
    for linears in ("plain", "packed", "int8"):
        model = load_checkpoint(folder, dtype=torch.bfloat16, linears=linears).model  # type: ignore[arg-type]
        kept = [*model.parameters(), *model.buffers()]
        assert {t.dtype for t in kept if t.dtype != torch.int8} == {torch.bfloat16}, linears


def test_unknown_linears(folder: Path) -> None:
    with pytest.raises(ValueError, match="linears = 'fp4': choose one of plain, packed, int8"):
        load_checkpoint(folder, linears="fp4")  # type: ignore[arg-type]


@pytest.mark.parametrize("linears", ["plain", "int8"])
def test_devices(linears: str, folder: Path) -> None:
    """The longest prefix wins; 'meta' plays the second device, so nothing of it stays on the first."""
    places = {"decoder": "meta", "decoder.layers.1": "cpu", "decoder.norm": "cpu"}
    model = load_checkpoint(folder, devices=places, linears=linears).model  # type: ignore[arg-type]
    kept = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, tensor in kept.items():
        there = name.startswith(("decoder.layers.0", "decoder.embed", "decoder.lm_head"))
        assert tensor.device.type == ("meta" if there else "cpu"), name


def test_summary(folder: Path) -> None:
    loaded = load_checkpoint(folder, dtype=torch.bfloat16)
    count = sum(p.numel() for p in loaded.model.parameters()) / 1e6
    assert loaded.summary == (
        "toy-internlm2-6B · official layout · InternViT 2×16 + internlm2 2×32 · "
        f"{count:.2f} M parameters · bfloat16 on cpu · cpu attention"
    )


def wide_member() -> tuple[VLM, Family]:
    """About 100 MB in bfloat16, the largest matrix 2 MB."""
    family = kinds.family("internlm2")
    changes = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "head_dim": 128}
    decoder = family.model.decoder.model_copy(update=changes)
    family = family.model_copy(update={"model": family.model.model_copy(update={"decoder": decoder})})
    with torch.device("meta"):
        model = VLM(family.model)
    model = model.to(torch.bfloat16).to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.01)
    return model, family


PROBE = """
import gc, json, sys
from tessera.checkpoints.fill import fill
from tessera.checkpoints.load import load_checkpoint

def megabytes(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

found = {}
for linears in ("plain", "packed", "int8"):
    load_checkpoint(sys.argv[2], linears=linears)  # a toy: what the first use costs
    gc.collect()
    before = megabytes("VmRSS:")
    open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
    loaded = load_checkpoint(sys.argv[1], linears=linears)
    found[linears] = {"peak": megabytes("VmHWM:") - before, "after": megabytes("VmRSS:") - before}
    del loaded
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").is_file(), reason="the peak is read from Linux's /proc")
def test_memory_stays_below_model_and_a_shard(tmp_path: Path, folder: Path) -> None:
    """Peak <= model + 1.2 x the largest shard, mapped files counted.

    In 8 bits the model is half as large: a loader that quantised at the end would hold twice of it.
    """
    model, family = wide_member()
    arguments = (tmp_path / "wide", model, family, tiny.tokenizer(), "official")
    save_checkpoint(*arguments, max_shard_bytes=40 * 2**20)  # type: ignore[arg-type]
    size = sum(parameter.nbytes for parameter in model.parameters()) / 2**20
    shard = max(path.stat().st_size for path in (tmp_path / "wide").glob("*.safetensors")) / 2**20
    assert size > 90 and shard < 41
    argv = [sys.executable, "-c", PROBE, str(tmp_path / "wide"), str(folder)]
    # Freed memory goes back to the system at once, or malloc's own stock would be counted.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment)
    for linears, found in json.loads(done.stdout.splitlines()[-1]).items():
        kept = size / 2 if linears == "int8" else size
        assert found["peak"] <= kept + 1.2 * shard, (linears, found, size, shard)
        assert found["after"] <= kept + 4, (linears, found, size)
        if linears == "packed":
            assert found["peak"] < size / 4, "opening maps the matrices and reads those alone that it cuts"


def test_weights_survive_their_files(folder: Path) -> None:
    loaded = load_checkpoint(folder)
    for path in folder.iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    assert_same_weights(loaded.model, kinds.model("internlm2", "6B"))


def test_windows_stay_in_their_file_until_they_are_cast() -> None:
    """Processes of one host then hold a checkpoint once, not each a copy."""
    model, read = nn.Linear(4, 2, device="meta"), {"weight": torch.rand(2, 4), "bias": torch.rand(2)}
    fill(model, read.items(), windows=True)
    assert model.weight.data_ptr() == read["weight"].data_ptr()
    fill(model, read.items())
    assert model.weight.data_ptr() != read["weight"].data_ptr() and torch.equal(model.weight, read["weight"])
    fill(model, read.items(), dtype=torch.bfloat16, windows=True)
    assert model.weight.dtype == torch.bfloat16
