"""From a recipe to objects: model, encoder, checked sources, loaders, objective."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tessera.chat.encoder import Encoder
from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.checkpoints.surgery import load_part, save_part
from tessera.curation.check import CheckReport, check_sources
from tessera.families.catalog import fresh
from tessera.families.family import Family
from tessera.models.contrastive import ContrastiveConfig, ContrastivePair
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.packing.index import Progress, open_index
from tessera.packing.loader import PackLoader
from tessera.records.manifest import PlaygroundSource, read_meta
from tessera.records.open import open_sources
from tessera.records.source import WeightedSource
from tessera.runtime.seeds import derive_seed
from tessera.train.loop import Loader
from tessera.train.objective import ContrastiveObjective, ConversationObjective, Objective
from tessera.train.pairs import PairLoader
from tessera.train.parallel import ALONE, Ranks
from tessera.train.recipe import ContrastiveStage, Recipe, Stage, Start
from tessera.train.work import estimate_work

SHIPPED = "shipped"
TEXT_TOWER_LAYERS = 2


class ConversationBench:
    """A whole model learning conversations."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.model, self.tokenizer, self.family = start_model(recipe.start, recipe.seed)
        self.encoder: Encoder = self.family.encoder(self.tokenizer)
        self.objective: Objective = ConversationObjective(self.model)
        self.sources: list[tuple[WeightedSource, ...]] = []

    def check(self, progress: Progress | None = None) -> CheckReport:
        """Open and check the sources of every stage; raises DataError with all faults."""
        total = CheckReport()
        self.sources = []
        for stage in self.recipe.stages:
            packing = stage.packing
            checked, report = check_sources(stage_sources(stage), self.encoder, packing, progress)
            self.sources.append(checked)
            for entry in checked:  # once here, with a bar; the loaders of the stages find it in the cache
                open_index(entry, self.encoder, packing.workers, progress)
            total += report
        return total

    def loader(self, stage: Stage, index: int, ranks: Ranks = ALONE) -> Loader:
        """Packs of the stage's sources for one rank, seeded by recipe and stage."""
        if not self.sources:
            self.check()
        seed = derive_seed("stage", self.recipe.seed, index, stage.packing.seed)
        packing = stage.packing.model_copy(update={"seed": seed})
        return PackLoader(
            self.sources[index],
            self.encoder,
            packing,
            rank=ranks.rank,
            world=ranks.world,
            packs_per_step=stage.accumulate,
            work=estimate_work(self.model.config),
        )

    def save(self, folder: Path) -> None:
        """The whole model in Tessera's own layout."""
        save_checkpoint(folder, self.model, self.family, self.tokenizer, card=card(self.recipe))


class ContrastiveBench:
    """A ViT and a throw-away text tower learning pairs; what is saved is the ViT."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.tokenizer = load_tokenizer(shipped_folder("tokenizer"))
        self.family = fresh(recipe.start.family, self.tokenizer)
        config = self.family.model
        text = config.decoder.model_copy(update={"num_hidden_layers": TEXT_TOWER_LAYERS})
        width = config.decoder.hidden_size
        self.model = ContrastivePair(ContrastiveConfig(vision=config.vision, text=text, width=width))
        initialise(self.model, torch_seed(recipe.seed))
        first = recipe.stages[0]
        assert isinstance(first, ContrastiveStage)
        self.objective: Objective = ContrastiveObjective(self.model, first.region_share)

    def check(self, progress: Progress | None = None) -> CheckReport:
        """Drawn pairs are right by construction; other sources are refused."""
        for stage in self.recipe.stages:
            for source in stage.sources:
                if not isinstance(source, PlaygroundSource):
                    raise ValueError(
                        f"stage {stage.name!r}: contrastive stages draw their pairs; use PlaygroundSource"
                    )
        return CheckReport()

    def loader(self, stage: Stage, index: int, ranks: Ranks = ALONE) -> Loader:
        """Batches of pairs for one rank, seeded by recipe and stage."""
        assert isinstance(stage, ContrastiveStage)
        sources = [source for source in stage.sources if isinstance(source, PlaygroundSource)]
        vision = self.family.model.vision
        seed = derive_seed("stage", self.recipe.seed, index)
        return PairLoader(
            sources,
            self.tokenizer,
            stage.pictures,
            vision.image_size,
            vision.grid,
            seed,
            stage.packing.workers,
            ranks.rank,
            ranks.world,
            stage.accumulate,
        )

    def save(self, folder: Path) -> None:
        """The ViT alone."""
        save_part(self.model, "vision", folder, card=card(self.recipe))


Bench = ConversationBench | ContrastiveBench


def build(recipe: Recipe) -> Bench:
    """The objects that a recipe's objective needs."""
    return ContrastiveBench(recipe) if recipe.objective == "contrastive" else ConversationBench(recipe)


def start_model(start: Start, seed: int) -> tuple[VLM, Tokenizer, Family]:
    """A checkpoint, or a fresh model with parts laid over it, in float32, as `start` asks."""
    if start.checkpoint:
        folder = shipped_folder("model") if start.checkpoint == SHIPPED else Path(start.checkpoint)
        loaded = load_checkpoint(folder, dtype=torch.float32)
        return loaded.model, loaded.tokenizer, loaded.family
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    family = fresh(start.family, tokenizer)
    model = VLM(family.model)
    initialise(model, torch_seed(seed))
    _lay_over(model, start)
    return model, tokenizer, family


def _lay_over(model: nn.Module, start: Start) -> None:
    if start.vision:
        load_part(
            model, "vision", shipped_folder("vision") if start.vision == SHIPPED else Path(start.vision)
        )
    if start.decoder:
        load_part(
            model, "decoder", shipped_folder("decoder") if start.decoder == SHIPPED else Path(start.decoder)
        )


def stage_sources(stage: Stage) -> tuple[WeightedSource, ...]:
    """All sources of a stage, meta files opened."""
    specs = [
        spec
        for source in stage.sources
        for spec in ((source,) if isinstance(source, PlaygroundSource) else read_meta(source.meta))
    ]
    return open_sources(specs)


def torch_seed(seed: int) -> int:
    """The seed of a recipe's first weights."""
    return derive_seed("initialise", seed) % 2**31


def card(recipe: Recipe) -> dict[str, object]:
    """What a saved model says about its origin."""
    return {"recipe": recipe.name, "seed": recipe.seed, "settings": recipe.model_dump(mode="json")}
