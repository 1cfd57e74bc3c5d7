"""Recipes: what a run is, as one typed value. A recipe file holds a function `recipe()` that returns one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.runtime.config import Config
from tessera.train.optimizers import OptimizerConfig
from tessera.train.param_groups import Rule
from tessera.train.schedule import Schedule


class ManifestSpec(Config):
    """The user's own data: an InternVL meta file; every record is checked before the first step."""

    meta: str
    """Path of the meta JSON file."""


SourceSpec = PlaygroundSource | ManifestSpec


class Stage(Config):
    """One phase of training: what is trained, on what, how long."""

    name: str
    steps: int = Field(gt=0)
    rules: tuple[Rule, ...]
    """Ordered; the first pattern that matches a parameter decides."""
    sources: tuple[SourceSpec, ...]
    packing: PackingConfig = PackingConfig()
    schedule: Schedule = Schedule()
    optimizer: OptimizerConfig = OptimizerConfig()
    accumulate: int = Field(default=1, gt=0)
    """Packs per optimizer step, over all processes; a multiple of their number."""
    drop_path: float | None = None
    """Highest drop-path rate of the ViT in this stage; None keeps the model's own."""


class ContrastiveStage(Stage):
    """A stage on pairs of pictures and captions, batched by `pictures`; packing is not used."""

    pictures: int = Field(default=64, gt=1)
    region_share: float = Field(default=0.5, ge=0, le=1)
    """Weight of the region-phrase loss; the rest is the whole-picture loss."""


class Start(Config):
    """Where the weights come from: a checkpoint folder, or parts laid over a fresh model."""

    family: str = "scale_model"
    """Name in the catalogue; decides the architecture of a fresh model."""
    checkpoint: str | None = None
    """Folder with a whole model; "shipped" is the one in the package."""
    vision: str | None = None
    """Folder with a ViT; "shipped" is the pretrained one in the package."""
    decoder: str | None = None
    """Folder with a decoder; "shipped" likewise."""


class Recipe(Config):
    """A complete run."""

    name: str
    stages: tuple[Stage, ...] = Field(min_length=1)
    start: Start = Start()
    objective: Literal["conversation", "contrastive"] = "conversation"
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """bfloat16 computes products in it and keeps weights in float32."""
    device: str = "auto"
    save_every: int = Field(default=500, gt=0)
    """Steps between checkpoints of the training state."""

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages: names {names} repeat; give every stage its own name")
        for stage in self.stages:
            if isinstance(stage, ContrastiveStage) != (self.objective == "contrastive"):
                raise ValueError(
                    f"stages: {stage.name!r} is a {type(stage).__name__} but objective is "
                    f"{self.objective!r}; contrastive recipes are made of ContrastiveStage, others of Stage"
                )
        return self


def load_recipe(file: Path) -> Recipe:
    """The recipe that a Python file's `recipe()` returns. The file is code: run only files you trust."""
    if not file.is_file():
        raise ValueError(f"recipe file {file} does not exist; recipes ship in recipes/")
    spec = importlib.util.spec_from_file_location(f"tessera_recipe_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"recipe file {file} is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make = getattr(module, "recipe", None)
    result = make() if callable(make) else None
    if not isinstance(result, Recipe):
        raise ValueError(
            f"recipe file {file} needs a function recipe() that returns tessera.train.recipe.Recipe"
        )
    return result
