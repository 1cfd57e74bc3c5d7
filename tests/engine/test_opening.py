"""`tessera.load`: finds, places and casts; says in one line what it opened."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

import tessera
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.nn.quantised import Int4Linear
from tests.engine import tiny

CARD_MAP = {
    "vision_model": "cpu",
    "mlp1": "cpu",
    "language_model.model.embed_tokens": "cpu",
    "language_model.model.rotary_emb": "cpu",
    "language_model.model.norm": "cpu",
    "language_model.lm_head": "cpu",
}
"""A map as `split_model` of the model cards makes it, less the blocks."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("bfloat16"), torch.bfloat16)


def stored(place: Path, dtype: torch.dtype) -> Path:
    return save_checkpoint(place, copy.deepcopy(tiny.model()).to(dtype), tiny.family(), tiny.tokenizer())


def dtype_of(model: tessera.ChatModel) -> torch.dtype:
    return model.engine.model.vision.embeddings.class_embedding.dtype


def test_one_line_says_what_was_opened(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tessera"):
        model = tessera.load(folder)
    assert repr(model) == model.summary == caplog.messages[0]
    assert "\n" not in model.summary
    assert all(word in model.summary for word in ("nano_model", "tessera layout", "bfloat16 on cpu"))
    assert isinstance(model, tessera.ChatModel) and model.notes == ()


@pytest.mark.parametrize("layout", ["official", "transformers"])
def test_every_layout_opens_and_answers_the_same(layout: str, folder: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(folder)
    parts = (loaded.model, loaded.family, loaded.tokenizer)
    other = tessera.load(save_checkpoint(tmp_path, *parts, layout=layout), "cpu")  # type: ignore[arg-type]
    assert f"{layout} layout" in other.summary
    first = tessera.load(folder, "cpu")
    for system in (None, "be brief"):  # the transformers layout has no place for the system text
        asked = {"question": "what?", "pictures": tiny.picture(1, 60, 30), "max_new_tokens": 8}
        if system or layout == "official":
            assert other.chat(**asked, system=system) == first.chat(**asked, system=system)


@pytest.mark.parametrize(
    ("saved", "wanted", "opened"),
    [
        (torch.bfloat16, "auto", torch.bfloat16),
        (torch.float32, "auto", torch.float32),
        (torch.float16, "auto", torch.bfloat16),
        (torch.bfloat16, "float32", torch.float32),
        (torch.float32, torch.bfloat16, torch.bfloat16),
    ],
)
def test_number_formats(
    saved: torch.dtype, wanted: str | torch.dtype, opened: torch.dtype, tmp_path: Path
) -> None:
    """float16 on a CPU is many times slower than bfloat16, so "auto" never takes it there."""
    model = tessera.load(stored(tmp_path, saved), "cpu", wanted)
    assert dtype_of(model) == opened
    assert model.chat("what?", tiny.picture(1), max_new_tokens=3)


def test_float16_on_a_cpu_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="dtype = 'float16' on a CPU"):
        tessera.load(folder, "cpu", "float16")
    with pytest.raises(ValueError, match="dtype = 'float16' on a CPU"):
        tessera.load(folder, "cpu", torch.float16)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"device": "gpu"}, "device = 'gpu' is no device: write auto, cpu, cuda"),
        ({"device": "cuda:7"}, "device = 'cuda:7': torch finds 0 CUDA devices here"),
        ({"device": torch.device("cuda")}, "device = 'cuda': torch finds 0 CUDA devices here"),
        ({"device_map": {"": 0}}, "device = 'cuda:0': torch finds 0 CUDA devices here"),
    ],
)
def test_devices_that_are_not_there(
    wanted: dict[str, Any], message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        tessera.load(folder, **wanted)


@pytest.mark.parametrize("device_map", ["auto", "split"])
def test_without_several_gpus_one_device_is_used_and_said(
    device_map: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tessera.load(folder, "cpu", device_map=device_map)
    note = model.notes[-1]
    assert f"device_map = '{device_map}'" in note and "everything lies on cpu" in note
    assert any(note in message for message in caplog.messages), "told even where nobody set up logging"


def test_a_map_of_the_model_cards(folder: Path) -> None:
    """Their names and ours say the same; what is wrong with a map is said before a weight is read."""
    layers = tiny.family().model.decoder.num_hidden_layers
    cards = CARD_MAP | {f"language_model.model.layers.{i}": "cpu" for i in range(layers)}
    expected = tessera.load(folder, "cpu").chat("what?", tiny.picture(1), max_new_tokens=6)
    for table in (cards, {"": "cpu"}, {"vision": "cpu", "connector": "cpu", "decoder": "cpu"}):
        model = tessera.load(folder, "cpu", device_map=table)
        assert model.chat("what?", tiny.picture(1), max_new_tokens=6) == expected
    with pytest.raises(ValueError, match="no entry covers 'decoder.layers.0'"):
        tessera.load(folder, "cpu", device_map=CARD_MAP)
    with pytest.raises(ValueError, match="'visoin' is no module"):
        tessera.load(folder, "cpu", device_map={"visoin": "cpu", "": "cpu"})
    with pytest.raises(ValueError, match="device_map = 'balanced': give 'auto', 'split' or a table"):
        tessera.load(folder, "cpu", device_map="balanced")


def test_int8_keeps_one_byte_a_weight(folder: Path) -> None:
    model = tessera.load(folder, "cpu", load_in_8bit=True)
    block = model.engine.model.decoder.layers[0]
    assert (
        next(t for n, t in block.self_attn.q_proj.state_dict().items() if "weight" in n).dtype == torch.int8
    )
    assert isinstance(model.chat("what?", tiny.picture(1), max_new_tokens=3), str)


def test_int4_keeps_half_a_byte_a_weight(folder: Path) -> None:
    model = tessera.load(folder, "cpu", load_in_4bit=True)
    layer = model.engine.model.decoder.layers[0].self_attn.q_proj
    assert isinstance(layer, Int4Linear) and 2 * layer.weight.nbytes == layer.in_features * layer.out_features
    assert "int4 and" in model.summary
    assert isinstance(model.chat("what?", tiny.picture(1), max_new_tokens=3), str)
    with pytest.raises(ValueError, match="both set: choose one"):
        tessera.load(folder, "cpu", load_in_4bit=True, load_in_8bit=True)


def test_frame_labels_by_name(folder: Path) -> None:
    clip = tessera.Video((tiny.picture(1), tiny.picture(2)))
    for label, shown in (("cards", "Frame1: <img>"), ("training", "Frame-1: <img>")):
        model = tessera.load(folder, "cpu", frame_label=label)
        prompt = model.prompt("left?", videos=clip)
        assert shown in model.encoder.render_text(prompt.conversation)
    with pytest.raises(ValueError, match="frame_label: 'card' is no name"):
        tessera.load(folder, "cpu", frame_label="card")


def test_without_a_name_the_shipped_model_opens() -> None:
    assert tessera.load().family.name == "scale_model"


def test_unknown_names_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="/no/such/place"):
        tessera.load("/no/such/place")
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        tessera.lod  # noqa: B018
