"""The catalogue's tables against the published numbers, and how a family is fitted to a tokenizer."""

from __future__ import annotations

import pytest

from tessera.chat.templates import TEMPLATES
from tessera.chat.train_tokenizer import train_tokenizer
from tessera.families.catalog import family_names, fresh, get_family

TOKENIZER = train_tokenizer(["a small text"] * 3, 280)


@pytest.mark.parametrize("name", family_names())
def test_every_member_is_consistent(name: str) -> None:
    family = get_family(name)
    assert family.name == name
    assert family.template in TEMPLATES
    assert family.tiling.tile_side == family.model.vision.image_size
    assert family.model.image_token_id < family.model.decoder.vocab_size
    assert family.model.vision.grid % family.model.shuffle_factor == 0
    assert type(family).model_validate_json(family.model_dump_json()) == family


@pytest.mark.parametrize(
    ("name", "width", "layers", "heads"),
    [
        ("InternVL2_5-1B", 896, 24, (14, 2)),
        ("InternVL2_5-4B", 2048, 36, (16, 2)),
        ("InternVL3-1B", 896, 24, (14, 2)),
    ],
)
def test_released_members(name: str, width: int, layers: int, heads: tuple[int, int]) -> None:
    model = get_family(name).model
    assert model.tokens_per_tile == 256 and model.image_token_id == 151667
    assert (model.decoder.hidden_size, model.decoder.num_hidden_layers) == (width, layers)
    assert (model.decoder.num_attention_heads, model.decoder.num_key_value_heads) == heads
    assert model.decoder.vocab_size == 151674 and not model.decoder.tie_word_embeddings
    assert (model.vision.num_hidden_layers, model.vision.hidden_size) == (24, 1024)


def test_the_scale_model() -> None:
    model = get_family("scale_model").model
    assert (model.vision.image_size, model.vision.patch_size, model.tokens_per_tile) == (64, 8, 16)


def test_fitting_to_a_tokenizer() -> None:
    family = fresh("scale_model", TOKENIZER)
    assert family.model.decoder.vocab_size == TOKENIZER.vocab_size
    assert family.model.image_token_id == TOKENIZER.token_id("<IMG_CONTEXT>")
    described = family.encoder(TOKENIZER).describe()
    assert described["tokens_per_tile"] == 16 and described["system_text"] == ""


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="'InternVL9' is not in the catalogue"):
        get_family("InternVL9")
    family = fresh("scale_model", TOKENIZER)
    squeezed = family.model_copy(update={"tiling": family.tiling.model_copy(update={"tile_side": 32})})
    with pytest.raises(ValueError, match="tile_side = 32 but the ViT of scale_model was trained at 64"):
        squeezed.encoder(TOKENIZER)
