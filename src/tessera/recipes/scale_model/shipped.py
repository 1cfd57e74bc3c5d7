"""The shipped scale model: the recipe internvl_2_5 with longer stages, and a finish on questions.

Command:   tessera train shipped --out runs/shipped
           (the finish with `torchrun --nproc-per-node 2 -m tessera.cli.main train ...`: same numbers, faster)
Trained:   all, in stages
Stages:    connector_warmup (120 steps), vit_incremental (100 steps), full (1,000 steps),
           finish (1,200 steps)
Hardware:  CPU, two cores
Time:      about 60 minutes
Expected:  figures in docs/scale_model.md

Descriptions teach to see, questions teach to look things up; the finish is mostly questions. The full stage
is longer than the demo's, so it can afford more descriptions and higher rates.
"""

from tessera.recipes.scale_model import internvl_2_5
from tessera.recipes.scale_model.internvl_2_5 import LEVELS, SINGLE, pictures
from tessera.records.manifest import PlaygroundSource
from tessera.train.recipe import Recipe, Stage
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

STEPS = {"connector_warmup": 120, "vit_incremental": 100, "full": 1000}
HORIZON = 2800
FINISH_STEPS = 1200
FINISH_RATE = 1.5e-3


def recipe() -> Recipe:
    """Longer stages, then the rate falls to nothing over the finish."""
    base = internvl_2_5.recipe()
    stages = [lengthen(stage, STEPS[stage.name]) for stage in base.stages]
    longer = {
        "rules": (Rule(pattern=".", learning_rate=2e-3, weight_decay=0.01),),
        "sources": (pictures("full", SINGLE | {"pair": 0.4, "clip": 0.4}, LEVELS, descriptions=0.5),),
        "schedule": Schedule(warmup=10, horizon=HORIZON),
    }
    stages[-1] = stages[-1].model_copy(update=longer)
    change = {"stages": (*stages, finish(stages[-1])), "name": "scale_model_shipped", "save_every": 250}
    return base.model_copy(update=change)


def lengthen(stage: Stage, steps: int) -> Stage:
    """More steps with bigger packs."""
    packing = stage.packing.model_copy(update={"max_tokens": 6144})
    return stage.model_copy(update={"steps": steps, "packing": packing})


def finish(full: Stage) -> Stage:
    """Two packs a step, mostly questions, down to rate zero."""
    source = full.sources[0]
    rules = tuple(rule.model_copy(update={"learning_rate": FINISH_RATE}) for rule in full.rules)
    assert isinstance(source, PlaygroundSource)
    change = {
        "name": "finish",
        "steps": FINISH_STEPS,
        "accumulate": 2,
        "rules": rules,
        "sources": (source.model_copy(update={"name": "finish", "descriptions": 0.1}),),
        "schedule": Schedule(warmup=10),
    }
    return full.model_copy(update=change)
