"""The two stages of 1.0 in LLaVA's form: captions with the projector alone, then talks with the LLaMA."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.families.catalogue import fresh
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.packing.config import PackingConfig
from tessera.recipes.shelf import load_recipe
from tessera.train.loop import Trainer
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.learner import ChatLearner
from tessera.train.objective.preference import PreferenceObjective
from tessera.train.recipe import ManifestSpec, Start
from tessera.train.setup import set_up
from tests.families.llava_form import tokenizer

CAPTION = [{"from": "human", "value": "Describe it.\n<image>"}, {"from": "gpt", "value": "a red square"}]
TALK = [
    {"from": "human", "value": "<image>\nWhich colour?"},
    {"from": "gpt", "value": "red"},
    {"from": "human", "value": "Which shape?"},
    {"from": "gpt", "value": "a square"},
]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    words = tokenizer()
    family = fresh("nano_llava", words)
    model = VLM(family.model)
    initialise(model, 0)
    return save_checkpoint(tmp_path / "start", model, family, words)


def manifest(folder: Path, name: str, talk: list[dict[str, str]]) -> ManifestSpec:
    for number in range(4):
        pixels = np.full((20 + number, 30, 3), 60 * number, np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    lines = [json.dumps({"id": n, "image": f"{n}.png", "conversations": talk}) for n in range(4)]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    entry = {"root": str(folder), "annotation": str(folder / f"{name}.jsonl"), "length": 4}
    (folder / f"{name}.json").write_text(json.dumps({name: entry}))
    return ManifestSpec(meta=str(folder / f"{name}.json"))


def test_both_stages(checkpoint: Path, tmp_path: Path) -> None:
    """What each stage moves, what it reads, and that the model keeps its way of talking."""
    published = load_recipe("internvl_1/7b/all_stages")
    sources = manifest(tmp_path, "captions", CAPTION), manifest(tmp_path, "talks", TALK)
    stages = tuple(
        stage.model_copy(
            update={
                **{"steps": 2, "epochs": None, "accumulate": 1, "sources": (source,), "recompute": "none"},
                "packing": PackingConfig(max_tokens=512, max_tiles=4),
            }
        )
        for stage, source in zip(published.stages, sources, strict=True)
    )
    start = Start(checkpoint=str(checkpoint))
    recipe = published.model_copy(
        update={"stages": stages, "start": start, "precision": "float32", "device": "cpu"}
    )
    trainer = Trainer(set_up(recipe), tmp_path / "run")
    reports = list(trainer.run())
    assert len(reports) == 4 and all(np.isfinite(report.loss) for report in reports)
    folders = [checkpoint, trainer.stage_folder(0), trainer.stage_folder(1)]
    models = [dict(load_checkpoint(folder).model.named_parameters()) for folder in folders]
    moved = [
        {name.partition(".")[0] for name in before if not before[name].equal(after[name])}
        for before, after in zip(models, models[1:], strict=False)
    ]
    assert moved == [{"connector"}, {"connector", "decoder"}]
    assert load_checkpoint(folders[2]).family.template == "vicuna_v1"


def test_the_first_stage_reads_captions(checkpoint: Path) -> None:
    learner = ChatLearner.start(Start(checkpoint=str(checkpoint)), 0)
    first, second = load_recipe("internvl_1/7b/all_stages").stages
    assert isinstance(first.objective, ConversationObjective)
    assert isinstance(second.objective, ConversationObjective)
    encoder = first.objective.encoder(learner)
    assert (encoder.template.name, encoder.tiling.square) == ("plain", "crop")
    assert second.objective.encoder(learner) is learner.encoder
    assert (learner.encoder.template.name, learner.encoder.tiling.square) == ("vicuna_v1", "pad")
    with pytest.raises(ValueError, match="template: 'poem' is unknown"):
        ConversationObjective(template="poem").encoder(learner)
    with pytest.raises(ValueError, match="go with conversations"):
        PreferenceObjective(template="plain")
