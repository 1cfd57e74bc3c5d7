"""From published values to a recipe: rules, packs, schedule, first weights, fields left to the user."""

from typing import Any

from tessera.models.config import VLMConfig
from tessera.nn.lora import LoRAConfig
from tessera.packing.config import PackingConfig
from tessera.packing.samples.overlong import OverLong
from tessera.packing.samples.weights import Averaging
from tessera.recipes.internvl.stage import PARTS, PublishedStage
from tessera.train.objective import AnyObjective
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.distillation import DistillationObjective
from tessera.train.objective.preference import METHODS, PreferenceObjective
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start, to_fill
from tessera.train.update.rules import DECODER_LINEARS, Rule
from tessera.train.update.schedule import Schedule

INSIDE = {"experts": r"\.mlp_visual\.|\.self_attn\.visual\.", "attention": r"^decoder\..+\.self_attn\."}
"""Where parts of the decoder's blocks lie; attention's norms are the blocks' own."""
MOST_STEPS = 1_000_000
"""Of a stage that ends behind one pass over the data."""


def build(*stages: PublishedStage) -> Recipe:
    """One run of the stages in order; it starts where the first one starts."""
    first = stages[0]
    name = first.shelf_name if len(stages) == 1 else f"{first.shelf_name.rpartition('/')[0]}/all_stages"
    return Recipe(name=name.replace("/", "_"), stages=tuple(map(build_stage, stages)), start=start_of(first))


def build_stage(stage: PublishedStage) -> Stage:
    """AdamW, cosine down to zero and clipping at 1 are common to all scripts, and our defaults."""
    return Stage(
        name=stage.name,
        steps=stage.steps or MOST_STEPS,
        epochs=None if stage.steps else 1.0,
        rules=rules_of(stage),
        objective=objective_of(stage),
        sources=tuple(
            ManifestSpec(meta=data.meta or to_fill(f"manifest of your data; published: {data.what}"),
                         max_dynamic_patch=stage.picture_tiles, token_share=data.share)
            for data in stage.data
        ),
        packing=packing_of(stage),
        accumulate=stage.packs,
        schedule=Schedule(warmup=stage.warmup),
        drop_path=stage.drop_path,
        recompute="blocks",
    )  # fmt: skip


def objective_of(stage: PublishedStage) -> AnyObjective:
    """What is learned: to imitate a ViT, to prefer answers, or to give them."""
    if stage.teacher:
        return DistillationObjective(teacher=stage.teacher)
    if stage.method:
        return PreferenceObjective(**METHODS[stage.method])
    return ConversationObjective(template=stage.template or None, square=stage.square or None)


def rules_of(stage: PublishedStage) -> tuple[Rule, ...]:
    """A rule a part, so that each has a rate to change; with LoRA one for the decoder's linears in front. All
    of a ViT that imitates another is trained, and what is thrown away behind it."""
    settings: dict[str, Any] = {"learning_rate": stage.rate, "weight_decay": stage.decay}
    if stage.teacher:
        return (Rule(pattern=".", **settings),)
    parts = [Rule(pattern=rf"^{part}\.", **(settings if part in stage.trained else {})) for part in PARTS]
    if not stage.lora_rank:
        inside = (Rule(pattern=found, **settings) for part, found in INSIDE.items() if part in stage.trained)
        return *inside, *parts
    return Rule(pattern=DECODER_LINEARS, lora=LoRAConfig(rank=stage.lora_rank), **settings), *parts


def packing_of(stage: PublishedStage) -> PackingConfig:
    """Packs as published. Where nothing was packed: packs of one longest sample, weighted as one batch is."""
    tiles = stage.pack_tiles if stage.packed else stage.length // stage.entry.tokens_per_tile
    averaging: Averaging = "square" if stage.packed else "token"
    v2pe = "random" if stage.v2pe else None
    over_long: OverLong = "fewer_tiles" if stage.method else "split"  # a pair has no turns to cut between
    return PackingConfig(
        max_tokens=stage.length,
        max_tiles=tiles,
        averaging=averaging,
        over_long=over_long,
        v2pe=v2pe,
        workers=2,
    )


def start_of(stage: PublishedStage) -> Start:
    """The released model, the result that is gone on from, or the parts with a fresh connector."""
    if stage.checkpoint or stage.after:
        return Start(
            family=stage.model,
            checkpoint=stage.checkpoint or to_fill(f"folder of the model that {stage.after} made"),
        )
    if stage.teacher:
        return Start(family=stage.model)
    model, wanted = stage.entry.model, "no such model is public: folder of a language model"
    assert isinstance(model, VLMConfig)
    return Start(
        family=stage.model,
        vision=stage.vision or None,
        decoder=stage.decoder or to_fill(wanted),
        image_size=model.tile_side,
        select_layer=model.select_layer,
    )
