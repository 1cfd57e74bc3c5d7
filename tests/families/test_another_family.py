"""A family of one folder, made up for this test: another encoder, connector, template and picture tokens.

It is declared in `quill/` and registered here; no line of the package knows it. It opens in its own published
layout and in ours, is placed, asked, packed, trained for two steps, saved and asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import tessera
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.placement import read_map
from tessera.checkpoints.save import save_checkpoint
from tessera.families import registry
from tessera.families.family import Family
from tessera.models.accounting import count_parameters
from tessera.models.config import DecoderConfig
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.loop import Trainer
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.setup import set_up
from tessera.train.update.rules import Rule, assign
from tests.families.quill.architecture import QUILL
from tests.families.quill.config import QuillConfig
from tests.families.quill.preprocess import TILING
from tests.families.quill.prompt import TEMPLATE, TOKENS

DECODER = DecoderConfig(
    architecture="llama",
    vocab_size=1,
    hidden_size=24,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    attention_bias=False,
)


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_REGISTERED", {})
        registry.register(QUILL)
        yield


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    sentences = ["how many red circles are there?", "what color is it?"]
    return train_tokenizer(sentences * 4, 320).with_added(TOKENS.all)


@pytest.fixture(scope="module")
def family(tokenizer: Tokenizer) -> Family:
    model = QuillConfig(decoder=DECODER, image_token_id=0)
    made = Family(name="quill-toy", architecture="quill", model=model, tiling=TILING, template=TEMPLATE.name)
    return made.fitted(tokenizer)


@pytest.fixture(scope="module")
def model(family: Family) -> VLM:
    built = VLM(family.model).eval()
    initialise(built, 1)
    return built


@pytest.fixture(scope="module")
def picture() -> PIL.Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    return PIL.Image.fromarray(noise)


def test_its_numbers_are_those_of_its_modules(model: VLM, family: Family) -> None:
    counted = count_parameters(family.model)
    for part, module in model.named_children():
        assert counted[part] == sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("layout", ["tessera", "official"])
def test_it_opens_and_answers(
    layout: str, model: VLM, family: Family, tokenizer: Tokenizer, picture: PIL.Image.Image, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path, model, family, tokenizer, layout=layout)  # type: ignore[arg-type]
    opened = load_checkpoint(tmp_path)
    assert opened.layout == layout and opened.family == family
    for (name, ours), (same, theirs) in zip(
        model.named_parameters(), opened.model.named_parameters(), strict=True
    ):
        assert name == same and torch.equal(ours, theirs)
    chat = tessera.load(tmp_path, dtype="float32")
    assert "Siglip-like 2×16 + 5 queries" in repr(chat)
    asked = chat.encode("what color is it?", [picture])
    text = opened.encoder.render_text(chat.prompt("what color is it?", [picture]).conversation, generate=True)
    assert text.startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>you\n")
    assert "you\n<|vision_start|><|image_pad|>*5<|vision_end|>" in text
    assert text.endswith("<|im_start|>me\n") and len(asked.tiles) == 1
    answer = chat.chat("what color is it?", [picture], max_new_tokens=4)
    assert answer == chat.chat("what color is it?", [picture], max_new_tokens=4)


def test_a_layout_that_it_is_not_published_in(
    model: VLM, family: Family, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="quill is not published in it; choose 'tessera', 'official'"):
        save_checkpoint(tmp_path, model, family, tokenizer, layout="transformers")


def test_its_parts_are_placed(family: Family) -> None:
    placed = read_map(family.model, {"": "cpu", "connector": "cuda:0"})
    assert placed["connector"] == "cuda:0" and placed["vision"] == "cpu"


def test_an_unknown_family_is_named(family: Family) -> None:
    with pytest.raises(ValueError, match="architecture = 'pencil' is unknown: choose internvl, .*quill"):
        Family.model_validate(family.model_dump() | {"architecture": "pencil"})
    with pytest.raises(ValueError, match="'quill' is taken"):
        registry.register(type(QUILL)(name="quill", config=QuillConfig))


def test_it_packs_trains_saves_and_answers(
    model: VLM, family: Family, tokenizer: Tokenizer, picture: PIL.Image.Image, tmp_path: Path
) -> None:
    """Two steps of an ordinary recipe: rates by part and layer, frozen decoder, saved and opened again."""
    save_checkpoint(tmp_path / "start", model, family, tokenizer)
    stage = Stage(
        name="two_steps",
        steps=2,
        rules=(
            Rule(pattern=r"^vision\.", learning_rate=1e-3, layer_decay=0.5),
            Rule(pattern=r"^connector\.", learning_rate=1e-2),
            Rule(pattern="."),
        ),
        sources=(PlaygroundSource(suites={"shapes": 1.0}, questions=2),),
        packing=PackingConfig(max_tokens=1024, max_tiles=8, lookahead=4),
    )
    start = Start(checkpoint=str(tmp_path / "start"))
    recipe = Recipe(name="quill", stages=(stage,), start=start, precision="float32", device="cpu")
    trainer = Trainer(set_up(recipe), tmp_path / "run")
    rates = {one.name: one.learning_rate for one in assign(trainer.model, stage.rules)}
    assert rates["vision.patch_embedding.weight"] == 0.125e-3 and rates["vision.layers.1.up.weight"] == 0.5e-3
    reports = list(trainer.run())
    assert len(reports) == 2 and all(np.isfinite(report.loss) for report in reports)
    assert sum(report.tiles for report in reports) >= 2
    trained = tessera.load(trainer.stage_folder(0), dtype="float32")
    moved = {
        name.partition(".")[0]
        for (name, before), after in zip(
            model.named_parameters(), load_checkpoint(trainer.stage_folder(0)).model.parameters(), strict=True
        )
        if not torch.equal(before, after)
    }
    assert moved == {"vision", "connector"}
    assert isinstance(trained.chat("what color is it?", [picture], max_new_tokens=4), str)
