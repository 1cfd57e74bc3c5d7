"""Folders of the published layouts that are odd, old or wrong: a note, or an error with file, key, remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tessera.chat.message import Conversation, ask
from tessera.checkpoints.load import load_checkpoint, read_description
from tessera.checkpoints.save import save_checkpoint
from tessera.models.vision.internvit import resize_positions
from tests.checkpoints import kinds
from tests.checkpoints.test_faults import edit, edit_weights
from tests.checkpoints.test_round_trip import assert_same_weights
from tests.engine import tiny

Change = Callable[[dict[str, Any]], object]
KEY = "vision_model.embeddings.position_embedding"


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return kinds.saved(tmp_path / "official", "qwen2")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return kinds.saved(tmp_path / "theirs", "llama", "transformers")


JUNK = [
    "use_moe",
    "moe_config",
    "num_experts",
    "num_routed_experts",
    "num_shared_experts",
    "shared_expert_intermediate_size",
    "moe_intermediate_size",
    "moe_coeff_ratio",
    "moe_output_scale",
    "laux_allreduce",
    "noisy_gate_policy",
    "use_residual",
    "use_rts",
    "use_weighted_residual",
    "capacity_factor",
    "eval_capacity_factor",
    "use_flash_attn",
    "attention_dropout",
]


def test_junk_keys_change_nothing(official: Path) -> None:
    """docs/facts/architecture.md: released vision configs are full of another project's keys."""
    junk = dict.fromkeys(JUNK, 1)
    edit(official / "config.json", lambda c: c["vision_config"].update(junk))
    edit(official / "config.json", lambda c: c["llm_config"].update(junk | {"bias": True}))
    edit(official / "config.json", lambda c: c.update(architectures=["InternVLRewardModel"], auto_map={}))
    loaded = load_checkpoint(official)
    assert loaded.family == kinds.family("qwen2") and loaded.notes == ()


NOTES: dict[str, tuple[Change, str]] = {
    "null system message": (
        lambda c: c.update(system_message=None),
        r"config.json: system_message is null: the sentence of template 'internvl2_5' is used",
    ),
    "tied flag, two matrices": (
        lambda c: c["llm_config"].update(tie_word_embeddings=True),
        r"llm_config.tie_word_embeddings is true but language_model.lm_head.weight is stored: both",
    ),
    "merged, rank left over": (
        lambda c: c.update(use_llm_lora=16),
        r"use_llm_lora = 16 but the files hold no LoRA matrices: the weights are taken as merged",
    ),
    "template forgotten": (
        lambda c: c.update(template=None, tessera={"name": "InternVL2-8B"}),
        r"template is missing: 'internlm2-chat' of InternVL2-8B is used",
    ),
}


@pytest.mark.parametrize("name", NOTES)
def test_notes(name: str, official: Path) -> None:
    change, note = NOTES[name]
    edit(official / "config.json", change)
    loaded = load_checkpoint(official)
    assert len(loaded.notes) == 1 and str(official) in loaded.notes[0]
    assert re.search(note, loaded.notes[0]), loaded.notes[0]
    assert_same_weights(loaded.model, kinds.model("qwen2"))
    assert not loaded.family.model.decoder.tie_word_embeddings


def test_the_template_s_own_sentence_stands_in_for_null(official: Path) -> None:
    """The official code would print the word None into the prompt."""
    edit(official / "config.json", lambda c: c.update(system_message=None))
    encoder = load_checkpoint(official).encoder
    assert encoder.system_text is None and "None" not in encoder.render_text(Conversation((ask("is"),)))


def test_padded_vocabularies_are_fine(official: Path) -> None:
    """Qwen's matrices have more rows than its tokenizer has tokens."""
    for key in ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight"):
        edit_weights(official, lambda t, key=key: t.update({key: torch.cat([t[key], t[key][:20]])}))
    size = tiny.tokenizer().vocab_size + 20
    edit(official / "config.json", lambda c: c["llm_config"].update(vocab_size=size))
    loaded = load_checkpoint(official)
    assert loaded.family.model.decoder.vocab_size == size and loaded.notes == ()


def test_a_tied_head_that_is_not_stored(official: Path) -> None:
    edit_weights(official, lambda t: t.pop("language_model.lm_head.weight"))
    with pytest.raises(ValueError, match=r"no file holds 'language_model.lm_head.weight'"):
        load_checkpoint(official)
    edit(official / "config.json", lambda c: c["llm_config"].update(tie_word_embeddings=True))
    decoder = load_checkpoint(official).model.decoder
    assert decoder.lm_head.weight is decoder.embed_tokens.weight


def test_position_embedding_for_larger_tiles(official: Path) -> None:
    """docs/facts/architecture.md: force_image_size with a ViT of another size."""
    edit(official / "config.json", lambda c: c.update(force_image_size=32))
    loaded = load_checkpoint(official)
    assert loaded.family.model.vision.image_size == loaded.family.tiling.tile_side == 32
    assert loaded.family.model.tokens_per_tile == 16
    stored = kinds.model("qwen2").vision.embeddings.position_embedding
    assert torch.equal(loaded.model.vision.embeddings.position_embedding, resize_positions(stored, 4, 8, 8))
    assert "force_image_size = 32 but vision_config.image_size = 16" in loaded.notes[0]
    edit(official / "config.json", lambda c: c["vision_config"].update(image_size=24))
    with pytest.raises(ValueError, match=rf"{KEY}' has shape \(1, 17, 16\) but .* asks for 37 positions"):
        load_checkpoint(official)


ERRORS: dict[str, tuple[Change, str]] = {
    "4 bits": (
        lambda c: c.update(quantization_config={"load_in_4bit": True}),
        r"config.json: quantization_config is 'bitsandbytes' in 4 bits.*unquantised",
    ),
    "GPTQ": (
        lambda c: c.update(quantization_config={"quant_method": "gptq", "bits": 4}),
        r"config.json: quantization_config is 'gptq' in few bits, .* or one made by AWQ",
    ),
    "rotates half a head": (
        lambda c: c["llm_config"].update(partial_rotary_factor=0.5),
        r"llm_config.partial_rotary_factor = 0.5",
    ),
    "longrope without factors": (
        lambda c: c["llm_config"].update(rope_scaling={"type": "su"}),
        r"llm_config.rope_scaling: 'short_factor' is missing",
    ),
    "yarn's mscale": (
        lambda c: c["llm_config"].update(rope_scaling={"type": "yarn", "factor": 2, "mscale": 1}),
        r"rope_scaling.mscale = 1: only attention_factor",
    ),
    "a window (Phi-3)": (
        lambda c: c["llm_config"].update(architectures=["Phi3ForCausalLM"], sliding_window=64),
        r"llm_config.sliding_window = 64",
    ),
    "no vision config": (lambda c: c.pop("vision_config"), r"config.json: 'vision_config' is missing"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, official: Path) -> None:
    change, message = ERRORS[name]
    edit(official / "config.json", change)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(official)


def test_lora_needs_to_be_asked_for(official: Path) -> None:
    key = "language_model.base_model.model.model.layers.0.mlp.up_proj.lora_A.default.weight"
    edit_weights(official, lambda t: t.update({key: torch.ones(2, 32)}))
    edit(official / "config.json", lambda c: c.update(use_llm_lora=2))
    with pytest.raises(ValueError, match=r"LoRA checkpoint .use_llm_lora = 2.: open it with merge_lora=True"):
        load_checkpoint(official)


def test_tile_limits_of_the_processor_win_over_what_we_wrote_down(theirs: Path) -> None:
    """transformers obeys preprocessor_config.json, and its users change the number of tiles there."""
    before = read_description(theirs).family.tiling
    edit(theirs / "preprocessor_config.json", lambda c: c.update(max_patches=4))
    assert read_description(theirs).family.tiling == before.model_copy(update={"max_tiles": 4})
    (theirs / "preprocessor_config.json").unlink()
    assert read_description(theirs).family.tiling == before, "no file, so what stands in the config"


TRANSFORMERS_NOTES: dict[str, tuple[Change, str]] = {
    "InternVL3-9B": (
        lambda c: c.update(image_token_id=92546),
        r"config.json: image_token_id = 92546 but <IMG_CONTEXT> is token \d+ of the tokenizer: \d+ is used",
    ),
    "length": (lambda c: c.update(image_seq_length=256), r"image_seq_length = 256 but the ViT gives 4"),
    "tied above": (
        lambda c: c.update(tie_word_embeddings=True),
        r"tie_word_embeddings is true but lm_head.weight is stored: both matrices",
    ),
    "tied below": (
        lambda c: c["text_config"].update(tie_word_embeddings=True),
        r"text_config.tie_word_embeddings is true but lm_head.weight is stored",
    ),
}


@pytest.mark.parametrize("name", TRANSFORMERS_NOTES)
def test_transformers_notes(name: str, theirs: Path) -> None:
    change, note = TRANSFORMERS_NOTES[name]
    edit(theirs / "config.json", change)
    loaded = load_checkpoint(theirs)
    assert len(loaded.notes) == 1 and re.search(note, loaded.notes[0]), loaded.notes
    assert loaded.family == kinds.family("llama"), "what is in the files and the tokenizer wins"
    assert_same_weights(loaded.model, kinds.model("llama"))


TRANSFORMERS_ERRORS: dict[str, tuple[Change, str]] = {
    "a final norm": (
        lambda c: c["vision_config"].update(use_mean_pooling=False),
        r"vision_config.use_mean_pooling = false: this is not supported",
    ),
    "keeps the class token": (
        lambda c: c.update(vision_feature_select_strategy="full"),
        r"config.json: vision_feature_select_strategy = 'full'",
    ),
    "two layers": (lambda c: c.update(vision_feature_layer=[-1, -2]), r"vision_feature_layer = \[-1, -2\]"),
    "oblong": (lambda c: c["vision_config"].update(image_size=[16, 32]), r"image_size = \[16, 32\]"),
    "other text model": (lambda c: c["text_config"].update(architectures=["GptOss"]), r"'GptOss'"),
}


@pytest.mark.parametrize("name", TRANSFORMERS_ERRORS)
def test_transformers_errors(name: str, theirs: Path) -> None:
    change, message = TRANSFORMERS_ERRORS[name]
    edit(theirs / "config.json", change)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(theirs)


def test_what_transformers_cannot_compute_is_not_written(tmp_path: Path) -> None:
    from tests.checkpoints.test_round_trip import other_member

    model, family = other_member()  # ps v1; QK-norm with its own epsilon
    with pytest.raises(ValueError, match="ps_version = 'v1'.*stay in layout 'official'"):
        save_checkpoint(tmp_path, model, family, tiny.tokenizer(), "transformers")
    assert not list(tmp_path.iterdir()), "refused before anything is written"


def test_names_and_labels_of_the_catalogue(theirs: Path, tmp_path: Path) -> None:
    """A hub cache's snapshot folder is named after a commit; labels follow the released model."""
    folder = tmp_path / "models--OpenGVLab--InternVL2_5-8B-hf" / "snapshots" / "0123abcd"
    folder.parent.mkdir(parents=True)
    theirs.rename(folder)
    edit(folder / "config.json", lambda c: c.pop("tessera"))
    described = read_description(folder)
    assert described.family.name == "InternVL2_5-8B" and described.family.template == "internvl2_5"
    assert described.family.tiling.max_tiles == 6, "from the processor's files"
    (folder / "model.safetensors").unlink()
    assert read_description(folder).family == described.family, "weights need not be there"
    (folder / "preprocessor_config.json").rename(folder / "other.json")
    assert read_description(folder).family.tiling.max_tiles == 12, "transformers' default"
    nested = {"image_processor": {"max_patches": 3, "image_mean": [0.5, 0.5, 0.5]}}
    (folder / "processor_config.json").write_text(json.dumps(nested))
    five = read_description(folder).family  # transformers 5 keeps everything in one file
    assert five.tiling.max_tiles == 3 and five.model.mean == (0.5, 0.5, 0.5)


def test_tokenizer_without_the_nine_tokens(official: Path) -> None:
    """The language model's own tokenizer beside the chat model's weights."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (official / name).read_text()
        (official / name).write_text(text.replace("<ref>", "<fer>"))
    with pytest.raises(ValueError, match=r"official: the tokenizer lacks <ref>.*Tokenizer.with_added\(\)"):
        load_checkpoint(official)
