"""The catalogue: all released members by name, consistent in themselves, found again once opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tessera.chat.frame_labels import FRAME_LABELS
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import load_tokenizer
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.chat.tokens import IMG_CONTEXT
from tessera.families.catalogue import (
    entries,
    fresh,
    get_entry,
    get_family,
    identify,
    nearest_names,
)
from tessera.families.entry import Entry
from tessera.families.internvl.catalogue import TOYS, refusal

TOKENIZER = train_tokenizer(["a small text"] * 3, 280)
BY_NAME = {entry.name: entry for entry in entries()}

RELEASED = {
    *(f"InternVL-Chat-ViT-6B-Vicuna-{size}" for size in ("7B", "13B", "13B-448px")),
    *(f"InternVL-Chat-{v}" for v in ("V1-1", "V1-2", "V1-2-Plus", "V1-5", "V1-5-Plus", "V1-5-Int8")),
    *(f"Mini-InternVL-Chat-{size}-V1-5" for size in ("2B", "4B")),
    *(f"InternVL2-{size}" for size in ("1B", "2B", "4B", "8B", "8B-MPO", "26B", "40B", "Llama3-76B")),
    *(f"Mini-InternVL2-{s}-DA-{d}" for s in ("1B", "2B", "4B") for d in ("Drivelm", "BDD", "RS", "Medical")),
    *(f"InternVL2_5-{s}B{m}" for s in (1, 2, 4, 8, 26, 38, 78) for m in ("", "-MPO")),
    *(f"InternVL3-{s}B{m}" for s in (1, 2, 8, 9, 14, 38, 78) for m in ("", "-Instruct", "-Pretrained")),
    "InternVL3_5-GPT-OSS-20B-A4B-Preview",
    *(
        f"InternVL3_5-{s}{m}"
        for s in ("30B-A3B", "241B-A28B")
        for m in ("", "-MPO", "-Instruct", "-Pretrained")
    ),
    *(f"InternVL3_5-{s}-Flash" for s in ("1B", "2B", "4B", "8B", "14B", "38B", "30B-A3B", "241B-A28B")),
    *(f"InternVL3_5-{s}B{m}" for s in (1, 2, 4, 8, 14, 38) for m in ("", "-MPO", "-Instruct", "-Pretrained")),
    *(f"Mono-InternVL-2B{stage}" for stage in ("", "-S1-1", "-S1-2", "-S1-3")),
    *("VisualPRM-8B", "VisualPRM-8B-v1_1", "InternOmni"),
}


def test_every_released_model_is_there() -> None:
    assert set(BY_NAME) == RELEASED
    assert len(entries()) == len(RELEASED), "a name stands twice"


@pytest.mark.parametrize("name", [*TOYS, *BY_NAME])
def test_every_member_is_consistent(name: str) -> None:
    family = get_family(name)
    assert family.name == name
    assert family.template in {*TEMPLATES, *family.declaration.templates}
    assert family.frame_label in FRAME_LABELS
    assert family.tiling.tile_side == family.model.vision.image_size
    assert family.model.image_token_id < family.model.decoder.vocab_size
    assert family.model.vision.grid % family.model.shuffle_factor == 0
    assert not family.model.decoder.tie_word_embeddings
    assert type(family).model_validate_json(family.model_dump_json()) == family


@pytest.mark.parametrize("entry", entries(), ids=Entry.name.fget)
def test_an_entry_and_its_family_agree(entry: Entry) -> None:
    family = entry.family()
    assert family.model.tokens_per_tile == entry.tokens_per_tile
    assert entry.tokens_per_tile == 256 or entry.generation == "1"
    assert family.tiling == entry.tiling
    assert entry.hub == f"OpenGVLab/{entry.name}" and entry.layouts["official"] == entry.hub
    scaling = family.model.decoder.rope_scaling
    if scaling is not None and scaling.kind == "longrope":
        assert len(scaling.short_factor) == len(scaling.long_factor) == family.model.decoder.head_width // 2


@pytest.mark.parametrize(
    ("name", "width", "layers", "heads", "vocabulary"),
    [
        ("InternVL2-1B", 896, 24, (14, 2), 151_655),
        ("InternVL2_5-1B", 896, 24, (14, 2), 151_674),
        ("InternVL2_5-4B", 2048, 36, (16, 2), 151_674),
        ("InternVL3-1B", 896, 24, (14, 2), 151_674),
        ("InternVL2-8B", 4096, 32, (32, 8), 92_553),
        ("InternVL2-26B", 6144, 48, (48, 8), 92_553),
        ("InternVL3_5-8B", 4096, 36, (32, 8), 151_936),
        ("InternVL3_5-30B-A3B", 2048, 48, (32, 4), 151_936),
        ("InternVL3_5-241B-A28B", 4096, 94, (64, 4), 151_936),
        ("InternVL3_5-GPT-OSS-20B-A4B-Preview", 2880, 24, (64, 8), 201_088),
    ],
)
def test_numbers_read_in_released_configs(
    name: str, width: int, layers: int, heads: tuple[int, int], vocabulary: int
) -> None:
    decoder = get_family(name).model.decoder
    assert (decoder.hidden_size, decoder.num_hidden_layers) == (width, layers)
    assert (decoder.num_attention_heads, decoder.num_key_value_heads) == heads
    assert decoder.vocab_size == vocabulary


@pytest.mark.parametrize(
    ("folder", "model"),
    [
        ("internlm2_internvl2", "InternVL2-2B"),
        ("internvl3", "InternVL3-1B"),
        ("yi", "InternVL2-40B"),
    ],
)
def test_vocabularies_of_real_tokenizers(shared_data: Path, folder: str, model: str) -> None:
    """Rows and the id of the picture token follow from the tokenizer and the nine tokens."""
    tokenizer = load_tokenizer(shared_data / "tokenizers" / folder).with_added()
    language = BY_NAME[model].language
    assert (tokenizer.vocab_size, tokenizer.token_id(IMG_CONTEXT)) == (
        language.config.vocab_size,
        language.image_token,
    )
    assert language.bos == ("" if tokenizer.bos_id is None else "<s>")


def test_prompts_and_pictures_by_generation() -> None:
    """What the generations differ in: template, tiles, pixel order, words before frames
    (docs/facts/models.md, docs/facts/imaging.md and docs/facts/templates.md)."""
    templates = {
        "InternVL-Chat-V1-1": "internvl_zh",
        "InternVL-Chat-V1-2-Plus": "Hermes-2",
        "InternVL-Chat-V1-5": "internlm2-chat",
        "Mini-InternVL-Chat-4B-V1-5": "phi3-chat",
        "InternVL2-1B": "Hermes-2",
        "InternVL2-4B": "phi3-chat",
        "InternVL2-40B": "Hermes-2",
        "InternVL2-Llama3-76B": "internlm2-chat",
        "InternVL2_5-8B-MPO": "internvl2_5",
        "InternVL3-9B": "internvl2_5",
        "VisualPRM-8B": "internvl2_5",
        "VisualPRM-8B-v1_1": "internvl2_5",
        "InternVL3_5-38B": "internvl2_5",
    }
    assert {name: BY_NAME[name].template for name in templates} == templates
    for entry in entries():
        early = entry.generation in ("1", "1.1", "1.2")
        assert entry.tiling.dynamic is not early
        shuffled = entry.family().model.shuffle_factor > 1
        assert (entry.family().model.ps_version == "v1") is (early and shuffled)
        assert (entry.frame_label == "cards") == (float(entry.generation) < 2)
        assert entry.family().system_text is None, "the template's own text"
    assert get_family("InternVL-Chat-V1-1").model.select_layer == -4


def test_the_scale_model() -> None:
    model = get_family("scale_model").model
    assert (model.vision.image_size, model.vision.patch_size, model.tokens_per_tile) == (64, 8, 16)


def test_fitting_to_a_tokenizer() -> None:
    family = fresh("scale_model", TOKENIZER)
    assert family.model.decoder.vocab_size == TOKENIZER.vocab_size
    assert family.model.image_token_id == TOKENIZER.token_id("<IMG_CONTEXT>")
    described = family.encoder(TOKENIZER).describe()
    assert described["tokens_per_tile"] == 16 and described["system_text"] == ""
    assert described["frame_label"] == "Frame-{index}: "


@pytest.mark.parametrize(
    "given",
    [
        "InternVL3-1B",
        "OpenGVLab/InternVL3-1B",
        "internvl3-1b",
        "OpenGVLab/InternVL3-1B-hf",
        "InternVL3-1B-HF",
    ],
)
def test_names_are_found_however_they_are_written(given: str) -> None:
    assert get_entry(given) is BY_NAME["InternVL3-1B"]


def test_a_generation_may_be_written_with_a_point() -> None:
    assert get_entry("InternVL2.5-8B-MPO") is BY_NAME["InternVL2_5-8B-MPO"]


@pytest.mark.parametrize("entry", entries(), ids=Entry.name.fget)
def test_every_member_is_identified(entry: Entry) -> None:
    assert identify(entry.family()) is entry


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("InternVL2_5-8B-MPO", "InternVL2_5-8B"),
        ("InternVL3-1B-Instruct", "InternVL3-1B"),
        ("InternVL2_5-1B", "InternVL2_5-1B"),
        ("InternVL3_5-4B", "InternVL3_5-4B"),
        ("InternVL-Chat-V1-2", "InternVL-Chat-V1-2"),
        ("InternVL2-40B", "InternVL2-40B"),
    ],
)
def test_a_folder_of_another_name_is_identified_by_its_shapes(model: str, found: str) -> None:
    entry = identify(get_family(model).model_copy(update={"name": "my-download"}))
    assert entry is not None and entry.name == found


def test_the_other_layout_is_identified_too() -> None:
    """Files of transformers know InternLM2 as LLaMA, and name the folder after the -hf repository."""
    family = get_family("InternVL2_5-8B")
    decoder = family.model.decoder.model_copy(update={"architecture": "llama", "vocab_size": 92_672})
    model = family.model.model_copy(update={"decoder": decoder})
    opened = family.model_copy(update={"model": model, "name": "InternVL2_5-8B-hf"})
    assert identify(opened) is BY_NAME["InternVL2_5-8B"]


def test_what_is_no_released_model_is_not_identified() -> None:
    family = get_family("InternVL3-1B")
    assert identify(get_family("scale_model")) is None
    assert identify(family.model_copy(update={"template": "phi3-chat"})) is None
    decoder = family.model.decoder.model_copy(update={"num_hidden_layers": 23})
    fewer = family.model.model_copy(update={"decoder": decoder})
    assert identify(family.model_copy(update={"model": fewer})) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("InternVL-14B-224px", "contrastive"),
    ],
)
def test_published_models_that_do_not_open_say_why(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        get_entry(name)


def test_no_released_name_is_refused() -> None:
    assert [name for name in RELEASED if refusal(name)] == []


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="'InternVL25-8B' is not .* did you mean InternVL2_5-8B"):
        get_family("InternVL25-8B")
    with pytest.raises(ValueError, match="'llava' is not in the catalogue; `tessera models` lists the names"):
        get_family("llava")
    assert nearest_names("InternVL3.5 8B")[0] == "InternVL3_5-8B"
    family = fresh("scale_model", TOKENIZER)
    squeezed = family.model_copy(update={"tiling": family.tiling.model_copy(update={"tile_side": 32})})
    with pytest.raises(ValueError, match="tile_side = 32 but the ViT of scale_model was trained at 64"):
        squeezed.encoder(TOKENIZER)


def test_doubts_are_named() -> None:
    """What no released file told us stands in the entry (docs/facts/README.md)."""
    assert {"select_layer", "ps_version", "language.vocabulary"} <= set(BY_NAME["InternVL-Chat-V1-1"].doubts)
    assert "language.image_token" in BY_NAME["InternVL3-9B"].doubts
    assert BY_NAME["InternVL2-8B"].doubts == () == BY_NAME["InternVL3-1B"].doubts
    known = {"repository", "template", "system text", "initial values", "select_layer", "ps_version"}
    known |= {"thresholds", "published"}
    known |= {"language model", "patch channels", "most tiles"}
    known |= {"mm_vision_tower", "weight files", "legacy (of the tokenizer)"}
    known |= {"audio tokens", "audio.pool", "audio.pool_before_norm", "audio.mask_padding"}
    fields = {"vocabulary", "image_token", "bos", "eps", "positions", "scaling", "balance"}
    for entry in entries():
        assert set(entry.unverified) <= known and set(entry.language.unverified) <= fields


def test_listing_needs_no_torch(repo_root: Path) -> None:
    """`tessera models` is there at once because configs are values without modules."""
    code = (
        "import sys; import tessera.cli.models; from tessera.families.catalogue import entries;"
        "sum(e.parameters()['total'] for e in entries());"
        "assert not {'torch', 'numpy'} & set(sys.modules), 'heavy import'"
    )
    environment = {**os.environ, "PYTHONPATH": str(repo_root / "src")}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)


def test_stops_of_every_template_are_written_by_its_tokenizers() -> None:
    """ChatML marks end answers for all but Phi-3, GPT-OSS, 1.0 and 1.1, whatever the model's own end is."""
    ends = {entry.template: entry.chat_template.stop for entry in entries()}
    assert ends.pop("phi3-chat") == "<|end|>" and ends.pop("internvl_zh") == "</s>"
    assert ends.pop("internvl3_5_gpt_oss") == "<|return|>" and ends.pop("vicuna_v1") == "</s>"
    assert set(ends.values()) == {"<|im_end|>"}
