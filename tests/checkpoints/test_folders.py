"""What lies in a folder beside or instead of one set of weights: named as what it is.

A folder with two sets used to open one of them without a word, and one that was no checkpoint was told to
"fetch the index too".
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tessera.checkpoints.files.shards import ShardReader
from tessera.checkpoints.load import load_checkpoint, read_description
from tests.checkpoints import kinds
from tests.checkpoints.test_faults import edit, edit_weights

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
Change = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return kinds.saved(tmp_path / "toy", "qwen2")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return kinds.saved(tmp_path / "toy", "qwen2", max_shard_bytes=60_000)


def zeros_in_a_shard(folder: Path) -> None:
    """The case as it was found: the index points to a shard of zeros, the model lies beside it."""
    weights = load_file(folder / SINGLE)
    shard = "model-00001-of-00001.safetensors"
    save_file({key: torch.zeros_like(value) for key, value in weights.items()}, folder / shard)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(weights, shard)}))


def test_an_index_beside_a_single_file(folder: Path) -> None:
    zeros_in_a_shard(folder)
    with pytest.raises(ValueError) as caught:
        load_checkpoint(folder)
    words = str(caught.value)
    assert (
        "two sets of weights: model-00001-of-00001.safetensors, as model.safetensors.index.json says" in words
    )
    assert "; model.safetensors (" in words and words.count(" MB, 20") == 2, words


def test_a_stale_index_beside_a_single_file(folder: Path) -> None:
    """The shards are gone, their index stayed."""
    zeros_in_a_shard(folder)
    (folder / "model-00001-of-00001.safetensors").unlink()
    with pytest.raises(ValueError, match=r"two sets.*index.json says \(not there\); model.safetensors \("):
        load_checkpoint(folder)


def test_shards_of_two_counts(shards: Path) -> None:
    left = "model-00002-of-00009.safetensors"
    save_file({"decoder.norm.weight": torch.ones(3)}, shards / left)
    with pytest.raises(ValueError, match=f"two sets of weights: .*index.json says .*; {left} .*Remove those"):
        load_checkpoint(shards)


def test_leftover_shards_beside_a_single_file(folder: Path) -> None:
    save_file({"a": torch.ones(3)}, folder / "model-00001-of-00002.safetensors")
    with pytest.raises(ValueError, match="two sets of weights"):
        load_checkpoint(folder)


def test_an_index_that_names_all_in_the_single_file_is_one_set(folder: Path) -> None:
    table = dict.fromkeys(load_file(folder / SINGLE), SINGLE)
    (folder / INDEX).write_text(json.dumps({"weight_map": table}))
    assert load_checkpoint(folder).notes == ()


def test_an_index_that_names_fewer_than_its_shards_hold(shards: Path) -> None:
    edit(shards / INDEX, lambda c: c["weight_map"].pop("language_model.model.norm.weight"))
    with pytest.raises(
        ValueError, match=r"index.json is stale: .*norm.weight.*does not name; \d+ tensors are"
    ):
        load_checkpoint(shards)


def test_a_tensor_in_two_shards(shards: Path) -> None:
    """Which of the two is the model's, nobody can know."""
    name = sorted(shards.glob("model-*.safetensors"))[0]
    save_file({**load_file(name), "language_model.model.norm.weight": torch.ones(32)}, name)
    with pytest.raises(ValueError, match="is stale: .*norm.weight', which the index places in model-"):
        load_checkpoint(shards)


def test_safetensors_beside_pickles_are_taken_with_a_note(folder: Path) -> None:
    torch.save({"a": torch.ones(1)}, folder / "pytorch_model.bin")
    (note,) = load_checkpoint(folder).notes
    assert "model.safetensors (0." in note and "is taken, pytorch_model.bin (0.0 MB, 20" in note


def test_another_variant_beside_the_weights_is_said(folder: Path) -> None:
    save_file({"a": torch.ones(1)}, folder / "model.fp16.safetensors")
    (note,) = load_checkpoint(folder).notes
    assert note.endswith("is taken, model.fp16.safetensors passed over")


def test_an_adapter_beside_the_weights_is_said(folder: Path) -> None:
    save_file({"a": torch.ones(1)}, folder / "adapter_model.safetensors")
    (note,) = load_checkpoint(folder).notes
    assert "the adapter beside them (open with adapter= to merge it) passed over" in note


def test_a_trainers_states_beside_the_weights_are_no_second_set(folder: Path) -> None:
    for name in ("optimizer.pt", "scheduler.pt", "training_args.bin", "rng_state.pth"):
        (folder / name).write_bytes(b"state")
    assert load_checkpoint(folder).notes == ()


def test_empty_tensors_of_an_ungathered_save(folder: Path) -> None:
    edit_weights(folder, lambda t: t.update({"language_model.model.norm.weight": torch.ones(0)}))
    with pytest.raises(ValueError, match=r"norm.weight' has shape \(0,\) .*ZeRO-3 .*zero_to_fp32.py"):
        load_checkpoint(folder)


OTHERS = {
    "adapter_config.json": "is a LoRA adapter for another model: open that with adapter=",
    "zero_to_fp32.py": "training state of DeepSpeed .*zero_to_fp32.py that lies in it",
    "global_step500/mp_rank_00_model_states.pt": "training state of DeepSpeed",
    "__0_0.distcp": "distributed checkpoint of torch",
    "consolidated.00.pth": "consolidated weights of another format",
    "model-q4.gguf": "GGUF file",
    "part.json": "part of a model",
    "telemetry.jsonl": "folder of a training run",
    "optimizer.pt": "training state without weights",
    "new_embeddings.safetensors": "embeddings alone",
    "model_index.json": "pipeline of diffusers",
    "model.onnx": "weights of another library",
    "checkpoint-500/config.json": "is no checkpoint, but .*checkpoint-500 looks like one",
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_folder_of_something_else_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "thing" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}")
    for open_it in (load_checkpoint, read_description):
        with pytest.raises(ValueError, match=rf"thing .*{OTHERS[name]}"):
            open_it(tmp_path / "thing")


def test_an_export_without_its_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ValueError, match=r"toy has no tokenizer.model.*copy the tokenizer's files"):
        load_checkpoint(folder)


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemError('code of the file was run')",))


PICKLES: dict[str, object] = {
    "code": {"a": _Runs()},
    "keys that are numbers": {1: torch.ones(1)},
    "a list": [torch.ones(1)],
    "texts": {"a": "b"},
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_of_something_else(name: str, tmp_path: Path) -> None:
    torch.save(PICKLES[name], tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model.bin (asks for more than|is no table of) tensors"):
        ShardReader(tmp_path)


def test_a_plain_pickle_is_damaged_or_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"a": _Runs()}))
    with pytest.raises(ValueError, match="pytorch_model.bin"):
        ShardReader(tmp_path)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float8_e4m3fn, torch.complex64])
def test_tensors_that_are_no_weights(dtype: torch.dtype, folder: Path) -> None:
    """Whole numbers as weights were a RuntimeError of torch about gradients."""
    key = "language_model.model.norm.weight"
    edit_weights(folder, lambda t: t.update({key: t[key].to(dtype)}))
    with pytest.raises(ValueError, match=r"model.safetensors: '.*norm.weight' is made of .* fetch"):
        load_checkpoint(folder)


HEADERS: dict[str, bytes] = {
    "empty": b"",
    "a length of 2^63": (2**63).to_bytes(8, "little"),
    "a length beyond the file": (1000).to_bytes(8, "little") + b"{}",
    "a list": (2).to_bytes(8, "little") + b"[]",
    "no JSON": (4).to_bytes(8, "little") + b"{{{{",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_lies(name: str, folder: Path) -> None:
    (folder / SINGLE).write_bytes(HEADERS[name])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        load_checkpoint(folder)


ENTRIES: dict[str, dict[str, object]] = {
    "another shape": {"dtype": "F32", "shape": [9, 9], "data_offsets": [0, 16]},
    "a huge shape": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 16]},
    "beyond the file": {"dtype": "F32", "shape": [4], "data_offsets": [2**40, 2**40 + 16]},
    "backwards": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]},
    "an unknown dtype": {"dtype": "Q7", "shape": [4], "data_offsets": [0, 16]},
    "a negative shape": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]},
    "no offsets": {"dtype": "F32", "shape": [4]},
}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_that_lies(name: str, folder: Path) -> None:
    header = json.dumps({"decoder.norm.weight": ENTRIES[name]}).encode()
    (folder / SINGLE).write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        load_checkpoint(folder)


@pytest.mark.parametrize("place", ["InternVL2-Pro", "models--OpenGVLab--InternVL2-Pro/snapshots/0"])
def test_a_folder_of_a_refused_model_says_why(place: str, tmp_path: Path) -> None:
    """The class of its decoder says little to a reader; the catalogue has the reason in words."""
    folder = kinds.saved(tmp_path / place, "qwen2")
    edit(folder / "config.json", lambda c: c["llm_config"].update(architectures=["Qwen4ForCausalLM"]))
    for open_it in (load_checkpoint, read_description):
        with pytest.raises(ValueError, match="^InternVL2-Pro was described.*Qwen4ForCausalLM"):
            open_it(folder)
