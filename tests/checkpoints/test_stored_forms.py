"""Weights in older files: torch's `.bin`, read as tensors alone, and bitsandbytes' 8 bits."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tessera.checkpoints.files.shards import ShardReader
from tessera.checkpoints.files.views import Int8View
from tessera.checkpoints.load import load_checkpoint
from tests.checkpoints import kinds
from tests.checkpoints.test_faults import edit_weights
from tests.checkpoints.test_round_trip import assert_same_weights


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return kinds.saved(tmp_path / "official", "qwen2")


def as_bin(folder: Path, shards: int = 1) -> None:
    """The same weights as torch files."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    keys = sorted(tensors)
    if shards == 1:
        torch.save(tensors, folder / "pytorch_model.bin")
        return
    names = {key: f"pytorch_model-{i % shards + 1:05d}-of-{shards:05d}.bin" for i, key in enumerate(keys)}
    for name in set(names.values()):
        torch.save({key: tensors[key] for key in keys if names[key] == name}, folder / name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": names}))


@pytest.mark.parametrize("shards", [1, 3])
def test_bin_files(shards: int, tmp_path: Path) -> None:
    """Keys dealt out over shards: parts of one matrix lie in different files."""
    kinds.saved(tmp_path, "phi3", "transformers")
    as_bin(tmp_path, shards)
    assert_same_weights(load_checkpoint(tmp_path).model, kinds.model("phi3"))


def test_a_missing_bin_shard_is_named(official: Path) -> None:
    as_bin(official, 3)
    (official / "pytorch_model-00002-of-00003.bin").unlink()
    with pytest.raises(
        ValueError, match=r"shard pytorch_model-00002-of-00003.bin is missing: pytorch_model.bin"
    ):
        load_checkpoint(official)


class Surprise:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must never run",)


def test_a_pickle_that_wants_more_is_refused(official: Path, capsys: pytest.CaptureFixture[str]) -> None:
    as_bin(official)
    torch.save({"weight": Surprise()}, official / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model.bin asks for more than tensors.*as safetensors"):
        load_checkpoint(official)
    (official / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Surprise()}))
    with pytest.raises(ValueError, match=r"pytorch_model.bin"):
        load_checkpoint(official)
    assert "never" not in capsys.readouterr().out
    torch.save([1, 2], official / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model.bin is no table of tensors"):
        load_checkpoint(official)


def in_8_bits(folder: Path) -> dict[str, torch.Tensor]:
    """Code the blocks' linears as bitsandbytes stores them; returns what they should open as."""
    tensors = load_file(folder / "model.safetensors")
    expected = dict(tensors)
    for key in [key for key in tensors if ".layers." in key and tensors[key].dim() == 2]:
        scales = tensors[key].abs().amax(1)
        tensors[key] = (tensors[key] / scales[:, None] * 127).round().to(torch.int8)
        expected[key] = tensors[key].float() * scales[:, None] / 127
        stem = key.removesuffix(".weight")
        tensors |= {f"{stem}.SCB": scales, f"{stem}.weight_format": torch.tensor(0, dtype=torch.uint8)}
    save_file(tensors, folder / "model.safetensors")
    return expected


def test_8_bit_checkpoints(tmp_path: Path) -> None:
    """InternVL-Chat-V1-5-Int8: W = int8 * SCB / 127, before the wqkv rows are parted."""
    model = kinds.model("internlm2", "6B")
    kinds.saved(tmp_path, "internlm2", vit="6B")
    expected = in_8_bits(tmp_path)
    with ShardReader(tmp_path) as reader:
        view = Int8View(reader)
        for key, tensor in expected.items():
            torch.testing.assert_close(view.tensor(key), tensor, rtol=1e-6, atol=0)
            assert view.shape(key) == tuple(tensor.shape)
    loaded = load_checkpoint(tmp_path)
    assert loaded.notes == (f"{tmp_path}: weights stored in 8 bits were opened as floats",)
    for (name, ours), exact in zip(loaded.model.named_parameters(), model.parameters(), strict=True):
        assert ours.dtype == torch.float32
        step = float(exact.detach().abs().max()) / 250
        torch.testing.assert_close(ours, exact, rtol=0, atol=step, msg=name)
    half = load_checkpoint(tmp_path, dtype=torch.bfloat16).model
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t, stem: t.pop(f"{stem}.weight"), "SCB' stands without"),
        (lambda t, stem: t.update({f"{stem}.SCB": torch.ones(3)}), "not int8 with one scale a row"),
        (
            lambda t, stem: t.update({f"{stem}.weight_format": torch.tensor(2, dtype=torch.uint8)}),
            "weight_format' is not 0",
        ),
    ],
)
def test_broken_8_bit_checkpoints(change: Any, message: str, official: Path) -> None:
    in_8_bits(official)
    stem = "language_model.model.layers.0.mlp.up_proj"
    edit_weights(official, lambda tensors: change(tensors, stem))
    with pytest.raises(ValueError, match=message):
        load_checkpoint(official)
