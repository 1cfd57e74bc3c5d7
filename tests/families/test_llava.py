"""InternVL-Chat 1.0 in LLaVA's form: opened, compared with slow arithmetic and transformers, saved back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file

import tessera
from tessera.chat.message import Conversation, Image, Message, Text
from tessera.chat.render import MediaSpan, render
from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.checkpoints.surgery import part_forms
from tessera.families.catalogue import get_entry, get_family
from tessera.families.llava.config import FILL
from tessera.families.llava.prompt import TEMPLATES
from tessera.models.accounting import count_parameters
from tessera.models.vlm import VLM, normalise
from tessera.nn.attention.layout import Packed
from tests.families import llava_form as form

PICTURE = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("llava") / "model"
    made.mkdir()
    form.write(made)
    return made


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Loaded:
    return load_checkpoint(folder)


def test_what_the_config_says(loaded: Loaded) -> None:
    model, tiling = loaded.family.model, loaded.family.tiling
    assert loaded.family.architecture == "llava" and loaded.layout == "official"
    assert (model.tokens_per_tile, model.select_layer, model.vision.image_size) == (16, -4, 336)  # type: ignore[attr-defined]
    assert (tiling.square, tiling.fill, tiling.dynamic) == ("pad", FILL, False)
    assert loaded.family.template == "vicuna_v1"
    assert "position embedding is resized to 336" in loaded.notes[0]


def test_the_forward_pass_is_that_of_slow_parts(loaded: Loaded) -> None:
    """Padding, tower, projector and LLaMA, up to the scores of every token."""
    talk = Conversation((Message("user", (Image(PICTURE), Text("\nWhat is it?"))),))
    encoded = loaded.encoder.encode(talk, generate=True)
    square = PIL.Image.new("RGB", (90, 90), FILL)
    square.paste(PICTURE, (0, 20))
    pixels = np.asarray(square.resize((336, 336), PIL.Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(encoded.tiles[0], pixels)
    tiles, ids = torch.from_numpy(encoded.tiles), torch.from_numpy(encoded.ids).long()
    mean, std = loaded.family.model.mean, loaded.family.model.std
    features = form.see(normalise(tiles, mean, std, torch.float32)[0])
    with torch.no_grad():
        torch.testing.assert_close(loaded.model.see(tiles)[0], features, rtol=1e-5, atol=1e-5)
        _, llama = form.state(loaded.tokenizer.vocab_size)
        embedded = llama.get_input_embeddings()(ids)
        embedded[ids == loaded.family.model.image_token_id] = features
        expected = llama(inputs_embeds=embedded[None]).logits[0]
        hidden = loaded.model(ids, Packed((len(ids),)), tiles=tiles)
        torch.testing.assert_close(loaded.model.logits(hidden), expected, rtol=1e-5, atol=1e-5)


def test_a_tower_of_its_own_folder_gives_the_same_model(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    form.write(tmp_path / "model", inside=False)
    apart = load_checkpoint(tmp_path / "model")
    for name, parameter in loaded.model.named_parameters():
        assert torch.equal(parameter, apart.model.get_parameter(name)), name
    shutil.rmtree(tmp_path / "tower")
    with pytest.raises(ValueError, match=r"mm_vision_tower = './pretrained/tower'.*an InternViT is needed"):
        load_checkpoint(tmp_path / "model")


def test_a_tower_without_any_config_is_known_by_its_shapes(folder: Path, tmp_path: Path) -> None:
    """Only the number of heads leaves no trace in shapes; where nothing tells it, that is said."""
    shutil.copytree(folder, tmp_path / "model")
    with pytest.raises(ValueError, match="mm_vision_tower = .*tells the heads.*num_attention_heads"):
        load_checkpoint(tmp_path / "model")


def test_saved_back_it_is_what_it_was(loaded: Loaded, folder: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "again", loaded.model, loaded.family, loaded.tokenizer, "official")
    before, after = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "again"))
    position = f"{form.TOWER}embeddings.position_embedding"
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before if key != position)
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    said = json.loads((folder / "config.json").read_text())
    kept = [key for key in said if key.startswith("mm_") or key in form.TEXT or key == "image_aspect_ratio"]
    assert {key: written[key] for key in kept} == {key: said[key] for key in kept}
    again = load_checkpoint(tmp_path / "again")
    assert again.family == loaded.family and not again.notes


def test_it_chats(folder: Path) -> None:
    model = tessera.load(folder, "cpu", "float32")
    first = model.chat("What is it?", PICTURE, max_new_tokens=5, strip=False)
    assert first == model.chat("<image>\nWhat is it?", [PICTURE], max_new_tokens=5, strip=False)
    assert model.chat("Hello", max_new_tokens=3) is not None
    both = model.batch(
        [{"question": "What is it?", "pictures": PICTURE}, "Hello"], max_new_tokens=5, strip=False
    )
    assert both[0] == first


def test_positions_that_are_stored_for_the_new_size(folder: Path, loaded: Loaded, tmp_path: Path) -> None:
    """The tower's config says 168 px; a trainer that resized its positions saves those of 336."""
    shutil.copytree(folder.parent / "tower", tmp_path / "tower")
    shutil.copytree(folder, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    resized = loaded.model.state_dict()["vision.embeddings.position_embedding"]
    weights[f"{form.TOWER}embeddings.position_embedding"] = resized.clone()
    save_file(weights, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    again = load_checkpoint(tmp_path / "model")
    assert not again.notes
    assert torch.equal(again.model.state_dict()["vision.embeddings.position_embedding"], resized)


def test_a_section_in_the_config_tells_the_tower(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    form.write(tmp_path / "model", tower="somewhere/else", vision_config=form.tower_config())
    assert load_checkpoint(tmp_path / "model").family.model.vision == loaded.family.model.vision  # type: ignore[attr-defined]


WRONG: dict[str, dict[str, Any]] = {
    "mm_projector_type = 'two_mlp': it joins QLLaMA": {"mm_projector_type": "two_mlp"},
    "mm_projector_type = 'resampler': this version reads": {"mm_projector_type": "resampler"},
    "mm_vision_select_feature = 'cls_patch'": {"mm_vision_select_feature": "cls_patch"},
    "mm_use_im_start_end = true": {"mm_use_im_start_end": True},
    "image_aspect_ratio = 'anyres'": {"image_aspect_ratio": "anyres"},
    "mm_vision_select_layer|select_layer": {"mm_vision_select_layer": -9},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_read_is_named(tmp_path: Path, message: str) -> None:
    (tmp_path / "model").mkdir()
    form.write(tmp_path / "model", **WRONG[message])
    with pytest.raises(ValueError, match=message):
        load_checkpoint(tmp_path / "model")


GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "llava_tokens.json").read_text())["cases"]


@pytest.mark.parametrize("number", range(len(GOLDEN)))
def test_tokens_are_those_of_the_published_code(number: int, shared_data: Path, tmp_path: Path) -> None:
    """Ids and trained places as LLaVA's own functions gave them."""
    case, source = GOLDEN[number], shared_data / "tokenizers" / "llama2"
    shutil.copy(source / "tokenizer.model", tmp_path)
    said = json.loads((source / "tokenizer_config.json").read_text()) | {"legacy": case["legacy"]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said))
    messages = []
    for role, words in case["turns"]:
        pieces = [Text(piece) if piece else None for piece in words.split("<image>")]
        parts = [part for piece in pieces for part in (Image("a.png"), piece)][1:]
        messages.append(Message("user" if role == "human" else "assistant", tuple(filter(None, parts))))
    talk, generate = Conversation(tuple(messages)), case["path"] == "generate"
    template, spans = TEMPLATES[case["template"]], [MediaSpan((1,))] * len(talk.media)
    made = render(talk, template, load_tokenizer(tmp_path), spans, tokens_per_tile=1, generate=generate)
    assert [token or -200 for token in made.ids] == case["ids"]
    if not generate:
        assert np.flatnonzero(made.arrays()[1]).tolist() == case["trained"]


def test_captions_are_one_picture_and_its_text() -> None:
    words = form.tokenizer()
    talk = Conversation((Message("user", (Text("Describe."),)), Message("assistant", (Text("A dog"),))))
    with pytest.raises(ValueError, match="template 'plain' takes one picture and its caption"):
        render(talk, TEMPLATES["plain"], words)
    with pytest.raises(ValueError, match="writes captions for training"):
        render(Conversation(talk.messages[:1]), TEMPLATES["plain"], words, generate=True)


@pytest.mark.parametrize(
    ("name", "total"),
    [
        # ViT of 48 layers, two linears with biases, LLaMA with 32,000 rows: summed by hand.
        ("InternVL-Chat-ViT-6B-Vicuna-7B", 5_903_817_600 + 4096 * (3200 + 1 + 4096 + 1) + 6_738_415_616),
        ("InternVL-Chat-ViT-6B-Vicuna-13B", 5_903_817_600 + 5120 * (3200 + 1 + 5120 + 1) + 13_015_864_320),
    ],
)
def test_counts(name: str, total: int) -> None:
    entry = get_entry(name)
    assert count_parameters(entry.model)["total"] == total
    assert entry.tokens_per_tile == entry.picture_tokens == 576
    assert get_entry(f"{name[:-1]}B").tiling.tile_side == 336
    assert get_entry("InternVL-Chat-ViT-6B-Vicuna-13B-448px").tokens_per_tile == 1024


def test_the_toy_counts_what_it_builds() -> None:
    config = get_family("nano_llava").model
    held = sum(parameter.numel() for parameter in VLM(config).parameters())
    assert count_parameters(config)["total"] == held


def test_parts_are_found_by_the_tables_that_name_them(loaded: Loaded) -> None:
    """An adapter's names are looked up in every table; InternVL's know no such connector."""
    tables = part_forms("connector", loaded.model.connector, ())
    found = {table.group("connector.0.weight").stored[0] for table in tables}
    assert found == {"connector.0.weight", "model.mm_projector.0.weight"}
