"""A run on any base: ViT and language model from folders, a fresh connector, the model's own tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tessera.chat.templates import TEMPLATES
from tessera.chat.tokens import ADDED_TOKENS
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.weights import tensors_of
from tessera.models.config import VLMConfig
from tessera.models.vision.internvit import resize_positions
from tessera.nn.attention.layout import Packed
from tessera.runtime.json_file import read_object, write_json
from tessera.train.loop import Trainer
from tessera.train.objective.learner import ChatLearner, Start
from tessera.train.setup import set_up
from tests.checkpoints import base_folders, kinds
from tests.engine import tiny as asked
from tests.train import tiny

CLOSE = {"atol": 2e-5, "rtol": 1e-4}


@pytest.mark.parametrize("kind", base_folders.KINDS)
def test_language_models_keep_their_logits(kind: str, tmp_path: Path) -> None:
    """Through the new rows: every id that the tokenizer had has the logits of transformers."""
    theirs = base_folders.language_model(tmp_path, kind)
    learner = ChatLearner.start(Start(decoder=str(tmp_path)), seed=1)
    ids = learner.tokenizer.encode_plain("how many circles are there 片")
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits[0]
        got = learner.model.logits(learner.model(torch.tensor(ids), Packed((len(ids),))))
    known = base_folders.plain_tokenizer().vocab_size
    assert torch.allclose(got[:, :known], expected[:, :known], **CLOSE)
    decoder = learner.family.model.decoder
    assert decoder.architecture == kind.partition("-")[0]
    assert decoder.tie_word_embeddings == (kind == "qwen2-tied")
    assert got.shape[1] == decoder.vocab_size == learner.tokenizer.vocab_size != base_folders.ROWS


@pytest.mark.parametrize("kind", base_folders.KINDS)
def test_the_tokenizer_is_the_models_own_with_picture_tokens(kind: str, tmp_path: Path) -> None:
    base_folders.language_model(tmp_path, kind)
    learner = ChatLearner.start(Start(decoder=str(tmp_path)), seed=1)
    assert all(learner.tokenizer.has_token(token) for token in ADDED_TOKENS)
    assert learner.family.template == base_folders.TEMPLATES.get(kind, "internvl2_5")
    assert learner.family.system_text is None
    assert learner.family.tiling.max_tiles == 12 and learner.family.tiling.tile_side == 64
    context = learner.tokenizer.token_id("<IMG_CONTEXT>")
    pieces = base_folders.plain_tokenizer().encode_plain("<IMG_CONTEXT>")
    rows = learner.model.decoder.embed_tokens.weight
    assert context == learner.family.model.image_token_id
    assert torch.equal(rows[context], rows[pieces].mean(0))


@pytest.mark.parametrize(
    ("name", "kind", "rows", "template", "image", "size"),
    [
        ("qwen2_5", "qwen2", 151936, "internvl2_5", 151665, 151674),
        ("phi3", "phi3", 32064, "phi3-chat", 32011, 32020),
        ("llama2", "llama", 32000, "internvl_zh", 32000, 32009),
    ],
)
def test_released_ids(
    name: str, kind: str, rows: int, template: str, image: int, size: int, real_tokenizer: Any, tmp_path: Path
) -> None:
    """The ids that the authors' code gives the picture tokens; padded rows go, as in the 151,674 of 2.5."""
    own = real_tokenizer(name).without(ADDED_TOKENS)
    base_folders.language_model(tmp_path, kind, tokenizer=own, rows=rows)
    learner = ChatLearner.start(Start(decoder=str(tmp_path)), seed=1)
    assert learner.family.template == template
    assert [learner.tokenizer.token_id(token) for token in ADDED_TOKENS] == list(range(image, image + 9))
    assert len(learner.model.decoder.embed_tokens.weight) == learner.tokenizer.vocab_size == size


def test_the_vit_keeps_its_states(tmp_path: Path) -> None:
    theirs = base_folders.vit(tmp_path)
    learner = ChatLearner.start(Start(vision=str(tmp_path)), seed=1)
    pixels = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(
            learner.model.vision(pixels), theirs(pixel_values=pixels).last_hidden_state, **CLOSE
        )
    assert learner.family.tiling.tile_side == learner.family.model.tile_side == 16


def test_a_released_vit_alone(tmp_path: Path) -> None:
    """The authors' own files of the 6B line: no biases on the queries, RMS norms."""
    source = kinds.model("qwen2", "6B").vision
    stored = {
        f"{'encoder.' if name.startswith('layers.') else ''}{name}": tensor.contiguous()
        for name, tensor in tensors_of(source)
    }
    save_file(stored, tmp_path / "model.safetensors")
    config = source.config.model_dump(mode="json") | {"model_type": "intern_vit_6b", "use_moe": False}
    write_json(tmp_path / "config.json", config)
    write_json(tmp_path / "preprocessor_config.json", {"image_mean": [0.5] * 3, "image_std": [0.25] * 3})
    learner = ChatLearner.start(Start(vision=str(tmp_path)), seed=1)
    assert learner.family.model.vision == source.config
    assert learner.family.model.mean == (0.5,) * 3 and learner.family.model.std == (0.25,) * 3
    found = dict(tensors_of(learner.model.vision))
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors_of(source))


def test_positions_are_resized_to_another_tile(tmp_path: Path) -> None:
    theirs = base_folders.vit(tmp_path)
    stored = theirs.embeddings.position_embeddings.detach()
    for start in (
        Start(vision=str(tmp_path), image_size=32),
        Start(family="scale_model", vision=str(tmp_path)),  # 64 pixels
    ):
        learner = ChatLearner.start(start, seed=1)
        side = learner.family.model.tile_side
        grown = resize_positions(stored, 4, side // 4, side // 4)
        assert torch.equal(learner.model.vision.embeddings.position_embedding, grown)
        assert learner.encoder.tokens_per_tile == (side // 8) ** 2


@pytest.mark.parametrize("layout", ["official", "transformers", "tessera"])
def test_parts_of_whole_models(layout: str, tmp_path: Path) -> None:
    """The ViT of one model and the decoder of another: weights to the bit, prompts as that one was asked."""
    kinds.saved(tmp_path / "eye", "qwen2", layout, "6B")
    kinds.saved(tmp_path / "tongue", "internlm2", layout)
    learner = ChatLearner.start(Start(vision=str(tmp_path / "eye"), decoder=str(tmp_path / "tongue")), 1)
    for part, source in (("vision", kinds.model("qwen2", "6B")), ("decoder", kinds.model("internlm2"))):
        found, wanted = (dict(tensors_of(m.get_submodule(part))) for m in (learner.model, source))
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    model = learner.family.model
    assert isinstance(model, VLMConfig) and model.vision.qk_normalization
    assert learner.family.template == "internlm2-chat"
    assert learner.family.name == "eye+tongue"
    prompt = asked.prompt("which?", asked.picture(1))
    rows = (torch.from_numpy(prompt.ids).long(), Packed((len(prompt.ids),)))
    assert learner.model(*rows, tiles=torch.from_numpy(prompt.tiles)).isfinite().all()


def test_a_run_on_foreign_parts_learns_and_opens(tmp_path: Path) -> None:
    """Warm-up of the fresh connector, then everything; the result is a model like any other."""
    vit, words = tmp_path / "vit", tmp_path / "words"
    base_folders.vit(vit)
    base_folders.language_model(words, "qwen2", torch.bfloat16)
    start = Start(vision=str(vit), decoder=str(words))
    packing = tiny.recipe().stages[0].packing.model_copy(update={"max_tokens": 900})
    stages = tuple(s.model_copy(update={"packing": packing}) for s in tiny.recipe().stages)
    trainer = Trainer(set_up(tiny.recipe(start=start, stages=stages)), tmp_path / "run")
    losses = [report.loss for report in trainer.run()]
    assert len(losses) == 8 and losses[-1] < losses[0]
    opened = load_checkpoint(trainer.stage_folder(1))
    assert opened.family.name == "vit+words" and opened.tokenizer.has_token("<img>")
    again = ChatLearner.start(Start(vision=str(tmp_path / "run"), decoder="shipped"), seed=2)
    assert torch.equal(again.model.vision.layers[0].ls1, opened.model.vision.layers[0].ls1)


def test_the_dtype_is_that_of_published_parts(tmp_path: Path) -> None:
    base_folders.language_model(tmp_path, "llama", torch.bfloat16)
    learner = ChatLearner.start(Start(vision="shipped", decoder=str(tmp_path)), seed=1)
    assert {p.dtype for p in learner.model.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in ChatLearner.start(Start(vision="shipped"), 1).model.parameters()} == {
        torch.float32
    }


def test_what_makes_no_model_is_refused(tmp_path: Path) -> None:
    words, empty = tmp_path / "words", tmp_path / "empty"
    base_folders.language_model(words, "qwen2")
    empty.mkdir()
    for start, message in (
        (Start(vision=str(words)), "model_type = 'qwen2', which is no vision encoder"),
        (Start(vision=str(empty)), "holds neither config.json nor tessera.json nor part.json"),
        (Start(decoder=str(words), template="chatml"), "'chatml' is unknown; choose one of internvl_zh"),
        (Start(decoder=str(words), template="phi3-chat"), "stops at '<|end|>', which is no token"),
        (Start(vision="shipped", image_size=60), "image_size 60 is not a multiple of patch_size 8"),
        (Start(vision="shipped", select_layer=9), "select_layer 9: a ViT of 6 layers has states 0 to 6"),
        (Start(decoder=str(words), add_tokens=("<img>",)), "'<img>' is given twice"),
    ):
        with pytest.raises(ValueError) as caught:
            ChatLearner.start(start, seed=1)
        assert message in str(caught.value)


@pytest.mark.parametrize("part", ["vision", "decoder"])
def test_a_part_that_its_files_cannot_hold(part: str, tmp_path: Path) -> None:
    """Refused before anything of that size is made."""
    if part == "vision":
        base_folders.vit(tmp_path)
    else:
        base_folders.language_model(tmp_path, "llama")
    config = read_object(tmp_path / "config.json")
    write_json(tmp_path / "config.json", config | {"intermediate_size": 2**23})
    with pytest.raises(ValueError, match=r"asks for [\d,]+ weights, the files hold [\d,]+ bytes"):
        ChatLearner.start(Start(**{part: str(tmp_path)}), seed=1)


def test_a_kind_without_a_usual_template_names_the_choices(tmp_path: Path) -> None:
    """Phi-3's files with another tokenizer: its turns cannot be ended."""
    base_folders.language_model(tmp_path, "phi3")
    base_folders.plain_tokenizer().save(tmp_path)
    fitting = [name for name, template in TEMPLATES.items() if template.stop == "<|im_end|>"]
    with pytest.raises(ValueError, match=f"template: .* for phi3 .* choose {' or '.join(fitting)}, and"):
        ChatLearner.start(Start(decoder=str(tmp_path)), seed=1)
    learner = ChatLearner.start(Start(decoder=str(tmp_path), add_tokens=("<|end|>",)), seed=1)
    assert learner.family.template == "phi3-chat"
