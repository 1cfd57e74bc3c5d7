"""Training of ears: parts put together, what each stage may change, a run that ends and opens again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.families.catalogue import fresh
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.packing.config import PackingConfig
from tessera.packing.pack import collate
from tessera.recipes.omni import scale_model, stage_1, stage_2
from tessera.recipes.shelf import find_recipe
from tessera.train.loop import Trainer
from tessera.train.objective.contract import ManifestSpec
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.learner import ChatLearner, Start
from tessera.train.parallel.config import Parallel
from tessera.train.parallel.mesh import arrange
from tessera.train.parallel.ranks import Ranks
from tessera.train.parallel.shard import shardable
from tessera.train.recipe import Recipe, gaps
from tessera.train.setup import set_up
from tessera.train.step import Step
from tessera.train.update.rules import assign
from tests.engine import hearing, tiny
from tests.packing.test_sounds_in_packs import RECORDS, source, write

CPU = torch.device("cpu")
WHISPER = {"d_model": 16, "num_mel_bins": 16, "encoder_layers": 2, "encoder_attention_heads": 2}
WHISPER |= {"encoder_ffn_dim": 24, "max_source_positions": 200, "decoder_layers": 1}
WHISPER |= {"decoder_attention_heads": 2, "vocab_size": 60, "pad_token_id": 0, "bos_token_id": 1}
WHISPER |= {
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model that sees, in the published layout, and a whole Whisper, as transformers writes it."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("parts")
    family = fresh("nano_model", tiny.tokenizer())
    model = VLM(family.model)
    initialise(model, 5)
    save_checkpoint(folder / "sees", model, family, tiny.tokenizer(), "official")
    torch.manual_seed(0)
    whisper = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(**WHISPER))
    whisper.save_pretrained(folder / "whisper")
    return folder / "sees", folder / "whisper"


def test_ears_from_a_whisper_folder(parts: tuple[Path, Path]) -> None:
    sees, whisper = parts
    begun = ChatLearner.start(Start(checkpoint=str(sees), audio=str(whisper)), 0)
    assert begun.family.architecture == "omni" and begun.family.name == "nano_model+whisper"
    before, after = load_checkpoint(sees).model.state_dict(), begun.model.state_dict()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name][: len(tensor)], tensor)
    import transformers

    theirs = transformers.WhisperModel.from_pretrained(whisper).encoder
    torch.testing.assert_close(after["audio.conv2.weight"], theirs.conv2.weight)
    torch.testing.assert_close(
        after["audio.layers.1.attn.proj.bias"], theirs.layers[1].self_attn.out_proj.bias
    )
    again = ChatLearner.start(Start(checkpoint=str(sees), audio=str(whisper)), 0).model.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in after.items())
    assert begun.encoder.hearing is not None and begun.tokenizer.has_token("<AUDIO_CONTEXT>")


@pytest.mark.parametrize("recipe", [stage_1.recipe(), stage_2.recipe()], ids=["stage_1", "stage_2"])
def test_the_published_stages_train_the_mlp_behind_the_encoder_alone(recipe: Recipe, tmp_path: Path) -> None:
    model = VLM(hearing.family().model).train()
    initialise(model, 0)
    (stage,) = recipe.stages
    assign(model, stage.rules)
    encoder, records = hearing.encoder(), source(write(tmp_path, RECORDS)).source
    from tessera.packing.pack import Sample

    samples = []
    for number in range(4):
        encoded = encoder.encode(records.conversation(number))
        samples.append(
            Sample(str(number), encoded.ids, encoded.weights, encoded.tiles, sounds=encoded.sounds)
        )
    Step(ConversationObjective(), model, CPU).gradients([collate(samples)])
    learned = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert learned == {name for name, _ in model.named_parameters() if name.startswith("audio_connector.")}
    assert {field.partition(".")[0] for field in gaps(recipe)} <= {"stages", "start"}


@pytest.mark.parametrize("recipe", [stage_1.recipe(), stage_2.recipe()])
def test_a_pack_without_sounds_teaches_the_mlp_nothing(recipe: Recipe) -> None:
    """Also a plan tries its step on text and pictures."""
    model = VLM(hearing.family().model).train()
    initialise(model, 0)
    assign(model, recipe.stages[0].rules)
    ids = torch.arange(5, 12)
    hidden = model(ids, Packed((len(ids),)))
    hidden.sum().backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert trained and all(p.grad is not None and not p.grad.any() for p in trained)
    model.requires_grad_(False)
    torch.testing.assert_close(hidden.detach(), model(ids, Packed((len(ids),))), rtol=0, atol=0)


def test_a_run_of_two_stages_ends_and_hears(parts: tuple[Path, Path], tmp_path: Path) -> None:
    sees, whisper = parts
    meta = str(write(tmp_path, RECORDS))
    stages = []
    for recipe in (stage_1.recipe(), stage_2.recipe()):
        change = {"steps": 2, "sources": (ManifestSpec(meta=meta),), "accumulate": 1}
        packing = PackingConfig(max_tokens=256, max_tiles=16, workers=0)
        stages.append(recipe.stages[0].model_copy(update=change | {"packing": packing}))
    start = Start(checkpoint=str(sees), audio=str(whisper))
    made = Recipe(name="ears", stages=tuple(stages), start=start, device="cpu", precision="float32")
    assert all(report.gradient_norm > 0 for report in Trainer(set_up(made), tmp_path / "run").run())
    trained = load_checkpoint(tmp_path / "run" / "1_spoken_questions")
    begun = ChatLearner.start(start, made.seed).model.state_dict()
    moved = {
        name for name, weight in trained.model.state_dict().items() if not torch.equal(weight, begun[name])
    }
    assert moved and all(name.startswith("audio_connector.") for name in moved)
    assert trained.family.architecture == "omni"


def test_the_miniature_starts_from_the_shipped_model() -> None:
    recipe = scale_model.recipe()
    begun = ChatLearner.start(recipe.start, 0)
    assert begun.family.name == "scale_omni"
    rules = recipe.stages[0].rules
    assign(begun.model, rules)
    trained = {name.partition(".")[0] for name, p in begun.model.named_parameters() if p.requires_grad}
    assert trained == {"audio", "audio_connector", "decoder"}
    assert find_recipe("omni/stage_1").load() == stage_1.recipe()


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (Start(audio="fresh"), "start.audio = 'fresh': ears are added to a whole model"),
        (Start(checkpoint="SEES", audio="fresh"), "a fresh encoder has the shape of a family"),
        (Start(checkpoint="SEES", audio="fresh", family="scale_model"), "scale_model does not hear"),
        (
            Start(checkpoint="SEES", audio="SEES"),
            "this is no audio encoder that is read here",
        ),
        (Start(checkpoint="SEES", audio="EMPTY"), "holds no config.json: give the folder of a Whisper"),
        (
            Start(checkpoint="SEES", audio="fresh", template="Hermes-2"),
            "start.template: not beside start.audio",
        ),
    ],
)
def test_starts_that_make_no_model_say_why(
    parts: tuple[Path, Path], tmp_path: Path, start: Start, words: str
) -> None:
    places = {"SEES": str(parts[0]), "EMPTY": str(tmp_path)}
    given = {k: places.get(v, v) for k, v in start.model_dump().items() if isinstance(v, str)}
    with pytest.raises(ValueError, match=words):
        ChatLearner.start(Start(**given), 0)


def test_a_model_that_hears_is_copied_not_sharded() -> None:
    assert not shardable(hearing.model())
    ranks = Ranks(0, 2)
    with pytest.raises(ValueError, match="nor is a model that hears; leave shard, sequence and tensor out"):
        arrange(Parallel(shard=2), ranks, CPU, shardable(hearing.model()))


def test_a_cut_off_whisper_is_told(parts: tuple[Path, Path], tmp_path: Path) -> None:
    config = json.loads((parts[1] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"encoder_layers": 3}))
    (tmp_path / "model.safetensors").write_bytes((parts[1] / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match="lacks weights for audio"):
        ChatLearner.start(Start(checkpoint=str(parts[0]), audio=str(tmp_path)), 0)
