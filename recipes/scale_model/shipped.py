"""The shipped scale model: the recipe of internvl_2_5.py with longer stages.

Command:   tessera train recipes/scale_model/shipped.py --out runs/shipped
Hardware:  two CPU cores
Time:      about 80 minutes
Expected:  at least 75 % on the single-picture tasks; figures in docs/scale_model.md
"""

from pathlib import Path

from tessera.train.recipe import Recipe, load_recipe

STEPS = {"connector_warmup": 60, "vit_incremental": 100, "full": 2800}
FULL_RATE = 2e-3


def recipe() -> Recipe:
    """Longer stages, and a full stage at the rate of pre-training."""
    base = load_recipe(Path(__file__).with_name("internvl_2_5.py"))
    stages = []
    for stage in base.stages:
        rules = stage.rules
        if stage.name == "full":
            rules = tuple(rule.model_copy(update={"learning_rate": FULL_RATE}) for rule in rules)
        stages.append(stage.model_copy(update={"steps": STEPS[stage.name], "rules": rules}))
    return base.model_copy(update={"name": "scale_model_shipped", "stages": tuple(stages), "save_every": 250})
