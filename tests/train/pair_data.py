"""Preference pairs over drawn pictures as a file of records, and a recipe that learns from them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch

from tessera.chat.message import Image
from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.records.readers.playground import PlaygroundReader
from tessera.train.objective.preference import PreferenceObjective
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule
from tests.train.tiny import ALL

WORDS = ("red", "blue", "green", "square", "circle", "left", "right", "two", "three", "is", "are", "a", "the")


def write_pairs(folder: Path, count: int, seed: int = 0, **settings: Any) -> Path:
    """A meta file of pairs, the first without a picture; other keys stand in its entry."""
    rng = random.Random(seed)
    reader = PlaygroundReader(PlaygroundSource(name="pictures", suites={"shapes": 1.0}, sizes=((64, 64),)))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "pairs.jsonl").open("w") as stream:
        for index in range(count):
            sides = [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) + f" {side}." for side in ("A", "B")]
            record: dict[str, Any] = {"question": "What is this?", "chosen": sides[0], "rejected": sides[1]}
            if index:
                (picture,) = reader.conversation(index).media
                assert isinstance(picture, Image)
                picture.source.save(folder / f"{index}.png")  # type: ignore[union-attr]
                record |= {"image": f"{index}.png", "question": "<image>\nWhat is this?"}
            stream.write(json.dumps(record) + "\n")
    entry = {
        "root": str(folder),
        "annotation": str(folder / "pairs.jsonl"),
        "length": count,
        "repeat_time": 1,
    }
    meta = folder / "meta.json"
    meta.write_text(json.dumps({"pairs": entry | settings}))
    return meta


def preference_recipe(meta: Path, objective: PreferenceObjective | None = None, **changes: Any) -> Recipe:
    """Some steps on pairs of the file."""
    stage: dict[str, Any] = {
        "name": "align",
        "steps": 4,
        "rules": (ALL,),
        "sources": (ManifestSpec(meta=str(meta)),),
        "packing": PackingConfig(max_tokens=256, max_tiles=12),
        "schedule": Schedule(warmup=1),
        "objective": objective or PreferenceObjective(),
    }
    fields = {
        name: changes.pop(name) for name in list(changes) if name in Stage.model_fields and name != "name"
    }
    settings = {
        "name": "aligned",
        "start": Start(family="nano_model"),
        "precision": "float32",
        "device": "cpu",
    }
    return Recipe(stages=(Stage(**stage | fields),), **settings | {"save_every": 2} | changes)


LORA = (Rule(pattern=r"^decoder\.layers\..*proj", learning_rate=1e-2, lora={"rank": 4}), Rule(pattern="."))
"""Rules under which nothing but factors is trained."""
ZERO = (Rule(pattern=".", learning_rate=1e-30),)
"""Rules under which nothing moves."""
HERE = torch.device("cpu")
