"""A nano model, a few drawn samples for it, and a recipe that takes a second."""

from __future__ import annotations

import functools

import torch

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints.shipped import shipped_folder
from tessera.families.catalogue import fresh
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.packing.config import PackingConfig
from tessera.packing.pack import Sample
from tessera.packing.samples.weights import Averaging, weigh_tokens
from tessera.records.manifest import PlaygroundSource
from tessera.records.readers.playground import PlaygroundReader
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

CPU = torch.device("cpu")
ALL = Rule(pattern=".", learning_rate=1e-3, weight_decay=0.1)
PICTURES = PlaygroundSource(
    name="pictures",
    suites={"shapes": 1.0, "pair": 1.0, "clip": 0.5},
    sizes=((64, 64), (128, 64)),
    questions=3,
)


@functools.cache
def tokenizer() -> Tokenizer:
    """The scale model's."""
    return load_tokenizer(shipped_folder("tokenizer"))


def model(seed: int = 0, family: str = "nano_model") -> VLM:
    """The nano model with its own weights."""
    built = VLM(fresh(family, tokenizer()).model)
    initialise(built, seed)
    return built.train()


def samples(count: int, averaging: Averaging = "square") -> list[Sample]:
    """Drawn conversations with one or several pictures, and one without."""
    encoder, reader = fresh("nano_model", tokenizer()).encoder(tokenizer()), PlaygroundReader(PICTURES)
    blind = PlaygroundReader(PICTURES.model_copy(update={"mode": "blind"}))
    drawn = []
    for index in range(count):
        encoded = encoder.encode((blind if index == 1 else reader).conversation(index))
        weights = weigh_tokens(encoded.weights, averaging)
        drawn.append(Sample(str(index), encoded.ids, weights, encoded.tiles))
    return drawn


def recipe(**changes: object) -> Recipe:
    """A warm-up of the connector in AdamW, then everything with Muon, drop path and accumulation."""
    packing = PackingConfig(max_tokens=600, max_tiles=32, lookahead=6)
    shared = {"sources": (PICTURES,), "packing": packing, "schedule": Schedule(warmup=1)}
    warm_up = Stage(
        name="warm_up",
        steps=3,
        rules=(Rule(pattern=r"^connector\.", learning_rate=1e-3), Rule(pattern=".")),
        **shared,
    )
    full = Stage(
        name="full",
        steps=5,
        rules=(ALL,),
        optimizer=OptimizerConfig(kind="muon"),
        drop_path=0.5,
        accumulate=2,
        **shared,
    )
    settings = {"name": "tiny", "stages": (warm_up, full), "start": Start(family="nano_model")}
    return Recipe(**settings | {"precision": "float32", "device": "cpu", "save_every": 2} | changes)
