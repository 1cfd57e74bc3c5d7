"""Conversions keep every bit and setting, hold one tensor at a time, and leave a whole folder or none."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tessera.checkpoints.conversion import proof
from tessera.checkpoints.conversion.convert import Conversion, convert
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.models.config import DecoderKind
from tests.checkpoints import kinds
from tests.checkpoints.kinds import saved
from tests.checkpoints.test_faults import edit_weights
from tests.checkpoints.test_round_trip import assert_same_weights, other_member
from tests.engine import tiny

MEMBERS: list[tuple[DecoderKind, str]] = [("internlm2", "6B"), ("phi3", "300M"), ("qwen3", "300M")]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder by key."""
    return {key: t for path in sorted(folder.glob("*.safetensors")) for key, t in load_file(path).items()}


def assert_same_files(first: Path, second: Path) -> None:
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    assert all(
        tensor.dtype == two[key].dtype and torch.equal(tensor, two[key]) for key, tensor in one.items()
    )


@pytest.mark.parametrize(("kind", "vit"), MEMBERS)
def test_around_all_layouts(kind: DecoderKind, vit: str, tmp_path: Path) -> None:
    """official -> transformers -> tessera -> official is the file one began with, and both ends agree."""
    family = kinds.family(kind, vit)
    save_checkpoint(tmp_path / "a", kinds.model(kind, vit), family, tiny.tokenizer(), "official")
    for source, target, layout in (("a", "b", "transformers"), ("b", "c", "tessera"), ("c", "d", "official")):
        done = convert(tmp_path / source, tmp_path / target, layout)  # type: ignore[arg-type]
        assert done.agreement is not None and done.agreement.exact and done.tolerance == 0
        assert done.layout == layout and done.notes == () and done.name == family.name
        loaded = load_checkpoint(tmp_path / target)
        assert loaded.layout == layout and loaded.family == family
        assert loaded.encoder.describe() == family.encoder(tiny.tokenizer()).describe()
        assert_same_weights(loaded.model, kinds.model(kind, vit))
    assert_same_files(tmp_path / "a", tmp_path / "d")
    assert json.loads((tmp_path / "a/config.json").read_text()) == json.loads(
        (tmp_path / "d/config.json").read_text()
    )


def test_the_report(tmp_path: Path) -> None:
    done = convert(saved(tmp_path / "a"), tmp_path / "b", "transformers")
    model = kinds.model("qwen2")
    assert (done.source_layout, done.dtype, done.shards, done.merged) == ("official", "float32", 1, False)
    assert done.tensors == len(list(model.parameters()))
    assert done.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert done.bytes == 4 * done.parameters and done.seconds > 0


def test_shards_are_written_as_tensors_are_read(tmp_path: Path) -> None:
    """Streaming: when the last tensor is read, all shards but the open one lie on disk."""
    saved(tmp_path / "a", max_shard_bytes=20_000)
    parts: list[int] = []

    def look(what: str, done: int, total: int) -> None:
        if what == "writing":
            parts.append(len(list(tmp_path.glob(".b.*/*.part"))))

    done = convert(tmp_path / "a", tmp_path / "b", "transformers", max_shard_bytes=20_000, progress=look)
    assert done.shards > 3
    assert parts == sorted(parts) and parts[0] == 0 and parts[-1] >= done.shards - 2


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    steps = lambda what, done, total: seen.update({what: (done, total)})  # noqa: E731
    done = convert(saved(tmp_path / "a"), tmp_path / "b", "tessera", progress=steps)
    assert seen == {what: (done.parameters, done.parameters) for what in ("writing", "reading back")}


def test_two_models_are_never_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[weakref.ref[torch.nn.Module]] = []

    def load(*arguments: Any, **options: Any) -> Loaded:
        assert all(model() is None for model in models), "the model before is still alive"
        loaded = load_checkpoint(*arguments, **options)
        models.append(weakref.ref(loaded.model))
        return loaded

    monkeypatch.setattr(proof, "load_checkpoint", load)
    convert(saved(tmp_path / "a"), tmp_path / "b", "transformers")
    assert len(models) == 2
    convert(tmp_path / "a", tmp_path / "c", "transformers", check=False)
    assert len(models) == 2, "without the logit check no model is built at all"


def lora(folder: Path, kind: DecoderKind = "internlm2", rank: int = 3) -> dict[str, torch.Tensor]:
    """An official folder made a LoRA checkpoint, both parts wrapped; returns what merging must give."""
    saved(folder, kind=kind)
    generator = torch.Generator().manual_seed(1)
    stored, merged = {}, {}
    parts = (("vision_model.", ".attn.qkv.", 2), ("language_model.", ".attention.wqkv.", rank))
    for key, tensor in weights(folder).items():
        part, target, size = next((p for p in parts if key.startswith(p[0])), ("", "?", 0))
        name = part + "base_model.model." + key.removeprefix(part) if part else key
        merged[key] = tensor
        if target not in name:
            stored[name] = tensor
            continue
        module, leaf = name.rsplit(".", 1)
        stored[f"{module}.base_layer.{leaf}"] = tensor
        if leaf == "weight":
            up, down = (
                torch.randn(s, generator=generator) for s in ((len(tensor), size), (size, tensor.shape[1]))
            )
            stored[f"{module}.lora_A.default.weight"], stored[f"{module}.lora_B.default.weight"] = down, up
            merged[key] = tensor + 2.0 * (up @ down)
    save_file(stored, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config |= {"use_llm_lora": rank, "use_backbone_lora": 2}
    (folder / "config.json").write_text(json.dumps(config))
    return merged


def test_lora_is_merged_when_asked(tmp_path: Path) -> None:
    expected = lora(tmp_path / "a")
    done = convert(tmp_path / "a", tmp_path / "b", "official", merge_lora=True)
    assert done.merged and done.agreement is not None and done.agreement.exact
    assert any("LoRA" in note for note in done.notes)
    found = weights(tmp_path / "b")
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-6)
    changed = [
        key
        for key, tensor in weights(saved(tmp_path / "c", kind="internlm2")).items()
        if not torch.equal(tensor, found[key])
    ]
    assert len(changed) == 4, "wqkv of two blocks and qkv of two ViT blocks"
    config = json.loads((tmp_path / "b/config.json").read_text())
    assert config["use_llm_lora"] == config["use_backbone_lora"] == 0
    convert(tmp_path / "b", tmp_path / "d", "transformers")  # an ordinary checkpoint from now on


def test_lora_that_is_not_there(tmp_path: Path) -> None:
    done = convert(saved(tmp_path / "a"), tmp_path / "b", "official", merge_lora=True)
    assert not done.merged and any("no LoRA matrices to merge" in note for note in done.notes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_casts(dtype: torch.dtype, tmp_path: Path) -> None:
    """Every weight is the cast of the stored one; logits stay within what is stated."""
    done = convert(saved(tmp_path / "a"), tmp_path / "b", "transformers", dtype=dtype)
    assert done.dtype == str(dtype).removeprefix("torch.") and done.bytes == 2 * done.parameters
    assert done.tolerance > 0 and done.agreement is not None
    assert not done.agreement.exact and done.agreement.within(done.tolerance)
    loaded = load_checkpoint(tmp_path / "b").model.state_dict()
    for name, tensor in kinds.model("qwen2").state_dict().items():
        assert torch.equal(loaded[name], tensor.to(dtype)), name


def test_a_cast_to_what_is_stored_is_no_cast(tmp_path: Path) -> None:
    done = convert(saved(tmp_path / "a"), tmp_path / "b", "official", dtype=torch.float32)
    assert done.tolerance == 0 and done.agreement is not None and done.agreement.exact
    assert_same_files(tmp_path / "a", tmp_path / "b")


def test_what_travels_along(tmp_path: Path) -> None:
    """Licence and model card, the tokenizer's own files, the card of a training run; no code."""
    saved(tmp_path / "a", card={"seed": 3})
    (tmp_path / "a" / "modeling_internvl_chat.py").write_text("raise SystemExit")
    for name in ("README.md", "LICENSE", "special_tokens_map.json"):
        (tmp_path / "a" / name).write_text('{"unk_token": "x"}')
    convert(tmp_path / "a", tmp_path / "b", "transformers")
    convert(tmp_path / "a", tmp_path / "c", "official")
    for folder in (tmp_path / "b", tmp_path / "c"):
        names = {path.name for path in folder.iterdir()}
        assert {"README.md", "LICENSE", "special_tokens_map.json", "tokenizer.json"} <= names
        assert not any(name.endswith(".py") for name in names)
        assert load_checkpoint(folder).card == {"seed": 3}
    before, after = ((tmp_path / name / "tokenizer_config.json").read_bytes() for name in "ac")
    assert before == after


def test_what_a_layout_cannot_say(tmp_path: Path) -> None:
    """The tied head becomes two matrices in the published layouts: a note. Shuffle v1: an error."""
    model, family = other_member()
    save_checkpoint(tmp_path / "a", model, family, tiny.tokenizer())
    done = convert(tmp_path / "a", tmp_path / "b", "official")
    assert done.agreement is not None and done.agreement.exact
    assert [note for note in done.notes if "tie_word_embeddings = True reads False" in note]
    assert "language_model.lm_head.weight" in weights(tmp_path / "b")
    with pytest.raises(ValueError, match="ps_version = 'v1'.*layout 'official' or 'tessera'"):
        convert(tmp_path / "a", tmp_path / "c", "transformers")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def damage_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def damage_weights(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["mlp1.1.bias"]
    save_file(tensors, folder / "model.safetensors")


def make_lora(folder: Path) -> None:
    lora(folder)


def too_large(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["mlp1.1.bias"][0] = 1e6
    save_file(tensors, folder / "model.safetensors")


MISTAKES: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "no source": (lambda folder: folder.rename(folder.with_name("z")), {}, "a: no such folder"),
    "layout": (lambda folder: None, {"layout": "gguf"}, "layout = 'gguf': choose"),
    "dtype": (lambda folder: None, {"dtype": torch.int8}, "dtype = torch.int8: weights are stored in"),
    "overflow": (too_large, {"dtype": torch.float16}, "'connector.linear_1.bias' holds 1e\\+06.*bfloat16"),
    "lora": (make_lora, {}, "merge_lora=True.*--merge-lora"),
    "config": (damage_config, {}, "config.json"),
    "weights": (damage_weights, {}, "mlp1.1.bias"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_leave_no_target(name: str, tmp_path: Path) -> None:
    damage, options, message = MISTAKES[name]
    damage(saved(tmp_path / "a"))
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "a", tmp_path / "new" / "er" / "b", **{"layout": "tessera", **options})
    assert not (tmp_path / "new").exists(), "nor the folders above it"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    source = saved(tmp_path / "a")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("dear to me")
    for target in (tmp_path / "full", tmp_path / "full" / "mine.txt", source):
        with pytest.raises(ValueError, match="not empty: nothing is overwritten"):
            convert(source, target, "tessera")
    assert (tmp_path / "full" / "mine.txt").read_text() == "dear to me"
    (tmp_path / "empty").mkdir()
    assert convert(source, tmp_path / "empty", "tessera").target == tmp_path / "empty"
    assert load_checkpoint(tmp_path / "empty").layout == "tessera"


@pytest.mark.parametrize("road", ["here", "link"])
def test_an_empty_folder_is_filled_where_it_stands(
    road: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder one stands in, a link or a mounted disk: none of them can be replaced by another folder."""
    source, empty = saved(tmp_path / "a"), tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "link").symlink_to(empty)
    before = empty.stat().st_ino
    monkeypatch.chdir(empty)
    convert(source, Path() if road == "here" else tmp_path / "link", "official")
    assert empty.stat().st_ino == before
    assert_same_files(source, empty)
    assert load_checkpoint(empty).layout == "official" and not [p for p in empty.iterdir() if p.is_dir()]


def test_a_target_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear to me")
    with pytest.raises(ValueError, match="file is a file, so no folder can be made below it"):
        convert(saved(tmp_path / "a"), tmp_path / "file" / "b" / "c", "official")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_an_interrupted_conversion_leaves_nothing(stop: type[BaseException], tmp_path: Path) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if done > total // 2:
            raise stop

    with pytest.raises(stop):
        convert(saved(tmp_path / "a"), tmp_path / "b", "official", progress=interrupt, max_shard_bytes=20_000)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_failed_proof_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong number in the new files is found by its checksum, a wrong config by the logits."""
    source = saved(tmp_path / "a")
    written = proof.read_back

    def flip_a_bit(folder: Path, *rest: Any) -> Any:
        tensors = load_file(folder / "model.safetensors")
        tensors["vision.layers.0.ls1"][3] += 1e-3
        save_file(tensors, folder / "model.safetensors")
        return written(folder, *rest)

    def change_theta(folder: Path, *rest: Any) -> Any:
        text = (folder / "tessera.json").read_text()
        (folder / "tessera.json").write_text(text.replace('"rope_theta": 1000000.0', '"rope_theta": 900.0'))
        return written(folder, *rest)

    for fault, message in (
        (flip_a_bit, "1 weights, 'vision.layers.0.ls1'"),
        (change_theta, "logits differ by"),
    ):
        monkeypatch.setattr("tessera.checkpoints.conversion.convert.read_back", fault)
        with pytest.raises(ValueError, match=message):
            convert(source, tmp_path / "b", "tessera")
        assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_memory_and_disk_are_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = saved(tmp_path / "a")
    monkeypatch.setattr("tessera.checkpoints.conversion.convert.free_bytes", lambda device: 1000)
    with pytest.raises(ValueError, match="device = cpu: comparing logits takes .* GB .*--no-check"):
        convert(source, tmp_path / "b", "tessera")
    assert isinstance(convert(source, tmp_path / "c", "tessera", check=False), Conversion)
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match="the files take .* make room"):
        convert(source, tmp_path / "d", "tessera")


def test_pickled_weights_become_safetensors(tmp_path: Path) -> None:
    source = saved(tmp_path / "a")
    torch.save(weights(source), source / "pytorch_model.bin")
    expected = weights(source)
    (source / "model.safetensors").unlink()
    convert(source, tmp_path / "b", "official")
    found = weights(tmp_path / "b")
    assert found.keys() == expected.keys() and all(torch.equal(t, found[k]) for k, t in expected.items())


def test_rotary_positions_are_said_for_both_versions_of_transformers(tmp_path: Path) -> None:
    """Version 4 does not know `rope_parameters` and would quietly take a base of 10,000."""
    convert(saved(tmp_path / "a", kind="internlm2"), tmp_path / "b", "transformers", check=False)
    text = json.loads((tmp_path / "b/config.json").read_text())["text_config"]
    assert text["rope_theta"] == text["rope_parameters"]["rope_theta"] == 1e6
    assert text["rope_scaling"] == {"rope_type": "dynamic", "factor": 2.0}
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    theirs = transformers.AutoConfig.from_pretrained(tmp_path / "b").text_config.rope_parameters
    assert theirs == text["rope_parameters"]


def test_a_tokenizer_that_changed_is_noticed() -> None:
    same, other = tiny.tokenizer(), tiny.tokenizer().with_added(["<new>"])
    proof.check_tokenizer(same, same, Path("a"))
    with pytest.raises(ValueError, match="a: the tokenizer reads text differently"):
        proof.check_tokenizer(same, other, Path("a"))


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    """It compared NaN with NaN and said that it was at fault itself."""
    source = kinds.saved(tmp_path / "toy", "qwen2")
    key = "language_model.model.layers.1.mlp.down_proj.weight"
    edit_weights(source, lambda t: t.update({key: t[key] * float("nan")}))
    with pytest.raises(
        ValueError, match=r"toy: 'decoder.layers.1.mlp.down_proj.weight' holds numbers that are not"
    ):
        convert(source, tmp_path / "out", "transformers")
    assert not (tmp_path / "out").exists()
    done = convert(source, tmp_path / "out", "transformers", check=False)
    assert done.notes == (
        f"{source}: 'decoder.layers.1.mlp.down_proj.weight' holds numbers that are not finite",
    )


def test_logits_that_overflow_are_no_fault_of_the_conversion(tmp_path: Path) -> None:
    source = kinds.saved(tmp_path / "toy", "qwen2")
    big = {"language_model.lm_head.weight": 3e38, "language_model.model.norm.weight": 1e4}
    edit_weights(
        source, lambda t: t.update({key: torch.full_like(t[key], value) for key, value in big.items()})
    )
    with pytest.raises(
        ValueError, match="every weight is finite, the logits are not, so nothing can be compared"
    ):
        convert(source, tmp_path / "out", "transformers")
