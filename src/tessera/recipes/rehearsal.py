"""A recipe in miniature: its stages, rules and weights of tokens, on a model of few weights.

What a recipe of 78 billion weights trains and freezes can be seen in seconds, before any data is there.
"""

from tessera.records.manifest import PlaygroundSource
from tessera.train.objective.distillation import DistillationObjective
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.schedule import Schedule

TEXT_WORDS = ("text of", "text-only")
"""How a source that wants no pictures begins to say what it wants."""


def rehearse(recipe: Recipe, steps: int = 2) -> Recipe:
    """The same recipe for the nano model (or a small ViT beside the shipped one) on drawn pictures,
    `steps` steps a stage, on the CPU.

    Kept are stages, rules, objective, weights of tokens, visual positions, optimizer, drop path, recompute.
    """
    stages = tuple(_short(stage, steps) for stage in recipe.stages)
    imitates = isinstance(recipe.stages[0].objective, DistillationObjective)
    start = Start(family="scale_small" if imitates else "nano_model")
    return recipe.model_copy(update={"stages": stages, "start": start, "device": "cpu", "save_every": steps})


def _short(stage: Stage, steps: int) -> Stage:
    size = {"max_tokens": 768, "max_tiles": 48, "lookahead": 4, "workers": 0}
    sources = tuple(
        PlaygroundSource(
            name=f"drawn_{number}",
            mode="blind" if _is_text(source) else "picture",
            questions=3,
            token_share=source.token_share,
        )
        for number, source in enumerate(stage.sources)
    )
    objective = stage.objective
    if isinstance(objective, DistillationObjective):
        objective = objective.model_copy(update={"teacher": "shipped"})
    return stage.model_copy(
        update={
            "steps": steps,
            "epochs": None,
            "sources": sources,
            "packing": stage.packing.model_copy(update=size),
            "objective": objective,
            "accumulate": min(stage.accumulate, 2),
            "schedule": Schedule(kind=stage.schedule.kind, warmup=1),
        }
    )


def _is_text(source: object) -> bool:
    return any(word in getattr(source, "meta", "") for word in TEXT_WORDS)
