"""What a stage trains and learns from, without memory: a chat model, two towers, a ViT and its teacher."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from tessera.chat.encoder import Lengths
from tessera.checkpoints.bases.parts import VisionBase
from tessera.families.catalogue import entries
from tessera.families.family import Family
from tessera.models.config import IMAGENET_MEAN, IMAGENET_STD, ModelConfig, VisionConfig, VLMConfig
from tessera.models.contrastive import ContrastivePair
from tessera.models.distillation import Distiller, Teacher, TeacherConfig
from tessera.models.initialise import without_memory
from tessera.models.vision.internvit import VisionTransformer
from tessera.models.vlm import VLM
from tessera.train.objective.contract import Beginnable
from tessera.train.objective.contrastive import ContrastiveObjective, PairLearner, towers
from tessera.train.objective.distillation import DistillationObjective
from tessera.train.objective.learner import assemble, base_folder
from tessera.train.objective.links.objective import LinkObjective
from tessera.train.objective.links.targets import LinkBatch
from tessera.train.objective.pairs import PairBatch
from tessera.train.parallel.config import Parallel
from tessera.train.parallel.ranks import ALONE
from tessera.train.plan.live import MemoryBook
from tessera.train.plan.packs import CPU, PackPlan
from tessera.train.plan.prospect import look_ahead
from tessera.train.plan.shape import SHORT, stage_model
from tessera.train.recipe import Recipe

Batch = Callable[[MemoryBook], Any]
ALONE_IN_ALL = Parallel()


@dataclass(frozen=True)
class Subject:
    """A model and the batches of its step."""

    model: Callable[[], nn.Module]
    """On the meta device, without factors."""
    batch: Batch
    pixels: int
    """Bytes of a batch's pictures."""
    key: str
    """What decides model and batch."""
    shared: bool = True
    """Whether processes may share the weights out."""
    whole: bool = False
    """No block may be left out: what passes between them is kept."""


def subject_of(recipe: Recipe, index: int, config: ModelConfig, pack: PackPlan) -> Subject:
    """Of a stage of a recipe whose family has this shape, on packs like this."""
    objective = recipe.stages[index].objective
    if isinstance(objective, ContrastiveObjective):
        return pairs(recipe, index).subject
    if isinstance(objective, DistillationObjective):
        return imitation(objective, config, pack)
    if isinstance(objective, LinkObjective):
        return linked(look_ahead(recipe.start).family, config, pack)
    return chat(config, pack, recipe.parallel, isinstance(objective, Beginnable))


def chat(
    config: ModelConfig, pack: PackPlan, parallel: Parallel = ALONE_IN_ALL, pairs: bool = False
) -> Subject:
    """A chat model on packs, as one of the processes computes it that share heads, channels and tokens;
    `pairs`: on two answers to each prompt."""
    config, pack = _own_share(config, pack, parallel)
    pixels = pack.tiles * 3 * config.tile_side**2
    key = f"{config.model_dump_json()} {pack.samples} {pairs}"
    return Subject(_without_memory(partial(VLM, config)), partial(pack.pack, config, pairs), pixels, key)


def linked(family: Family, config: ModelConfig, pack: PackPlan) -> Subject:
    """A chat model with link tokens on packs; the masks of a batch, which are small, are left out."""
    plain = chat(config, pack)

    def model() -> VLM:
        return stage_model(config, (), family)

    def batch(book: MemoryBook) -> LinkBatch:
        return LinkBatch(plain.batch(book), ())

    links = None if family.links is None else family.links.model_dump_json()
    return replace(plain, model=_without_memory(model), batch=batch, key=f"{plain.key} {links}", shared=False)


def imitation(objective: DistillationObjective, config: ModelConfig, pack: PackPlan) -> Subject:
    """A ViT of this shape beside its teacher. ValueError for a teacher that is neither here nor in the
    catalogue."""
    assert isinstance(config, VLMConfig), "look_ahead gives the family of a ViT"
    teacher = teacher_of(objective)

    def model() -> Distiller:
        distiller = Distiller(config.vision, config.mean, config.std)
        distiller.imitate(Teacher(VisionTransformer(teacher.vision), teacher))
        return distiller

    pixels, key = pack.tiles * 3 * config.tile_side**2, f"{config.model_dump_json()} {teacher} {pack.samples}"
    whole = objective.layers > SHORT - 2
    made = _without_memory(model)
    return Subject(made, partial(pack.pack, config, False), pixels, key, shared=False, whole=whole)


def teacher_of(objective: DistillationObjective) -> TeacherConfig:
    """Whom a stage imitates: by its files where they are here, else by the name that the catalogue knows."""
    named = {e.vision.name: e.model for e in entries() if isinstance(e.model, VLMConfig)}
    name = objective.teacher.rpartition("/")[2]
    if name in named:
        vision, pixels = named[name].vision, {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    else:
        base = VisionBase.find(base_folder(objective.teacher, "vision"))
        vision, pixels = base.config, base.pixels
    assert isinstance(vision, VisionConfig)
    top, layers = objective.teacher_layer, objective.layers
    return TeacherConfig(name=objective.teacher, vision=vision, top=top, layers=layers, **pixels)


@dataclass(frozen=True)
class Pairs:
    """Two towers, and the first batch that a stage would draw."""

    subject: Subject
    pack: PackPlan
    """A sample a picture, with its caption."""


def pairs(recipe: Recipe, index: int) -> Pairs:
    """What a contrastive stage learns from. ValueError as the run itself raises it."""
    stage, parts = recipe.stages[index], assemble(recipe.start)
    objective = stage.objective
    assert isinstance(objective, ContrastiveObjective)
    config = towers(recipe.start, parts)
    with without_memory():
        learner = PairLearner(ContrastivePair(config), parts.tokenizer)
    data = stage.model_copy(update={"packing": stage.packing.model_copy(update={"workers": 0})})
    with closing(objective.loader(data, learner, (), (recipe.seed, index), ALONE)) as loader:
        drawn: PairBatch = next(loader)

    def batch(book: MemoryBook) -> PairBatch:
        return replace(drawn, tiles=book.empty(drawn.tiles.shape, drawn.tiles.dtype, CPU))

    captions = tuple(Lengths(length, 1, 1) for length in drawn.caption_lengths)
    key = f"{config} {drawn.caption_lengths} {drawn.phrase_lengths} {len(drawn.region_owner)}"
    made = _without_memory(partial(ContrastivePair, config))
    subject = Subject(made, batch, drawn.tiles.nbytes, key, shared=False)
    return Pairs(subject, PackPlan(captions, f"the first batch that is drawn: {len(captions)} pictures"))


def _without_memory(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        with without_memory():
            return make()

    return made


def _own_share(config: ModelConfig, pack: PackPlan, parallel: Parallel) -> tuple[ModelConfig, PackPlan]:
    if parallel.sequence > 1:
        tokens, learned = (-(-count // parallel.sequence) for count in (pack.tokens, pack.trained))
        pack = replace(pack, samples=(Lengths(tokens, pack.tiles, learned),))
    if parallel.tensor > 1:
        decoder, share = config.decoder, parallel.tensor
        divided = ("num_attention_heads", "num_key_value_heads", "intermediate_size")
        update = {name: max(1, getattr(decoder, name) // share) for name in divided}
        update["head_dim"] = decoder.head_width
        config = config.model_copy(update={"decoder": decoder.model_copy(update=update)})
    return config, pack
