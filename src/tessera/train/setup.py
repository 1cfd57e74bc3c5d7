"""From a recipe to objects: the learner, and the checked sources of every stage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.checkpoints.added import EMBEDDING
from tessera.curation.check import CheckReport
from tessera.runtime.progress import Progress, silent
from tessera.train.objective.contract import Loader, Sources
from tessera.train.parallel import ALONE, Ranks
from tessera.train.param_groups import trains
from tessera.train.recipe import Recipe


@dataclass(frozen=True)
class Setup:
    """A recipe that can run."""

    recipe: Recipe
    learner: Any
    """Of the recipe's objectives; all its stages share it."""
    sources: tuple[Sources, ...]
    """Of each stage, as far as they may be used."""
    report: CheckReport
    """What was found in all of them."""

    def loader(self, index: int, ranks: Ranks = ALONE) -> Loader:
        """The batches of a stage for one rank, seeded by recipe and stage."""
        stage = self.recipe.stages[index]
        seeds = (self.recipe.seed, index)
        return stage.objective.loader(stage, self.learner, self.sources[index], seeds, ranks)

    def save(self, folder: Path) -> None:
        """The model, with a card that says how it was made."""
        recipe = self.recipe
        settings = recipe.model_dump(mode="json")
        self.learner.save(folder, {"recipe": recipe.name, "seed": recipe.seed, "settings": settings})


def set_up(recipe: Recipe, progress: Progress = silent) -> Setup:
    """Build the model and check the sources of every stage.

    Raises DataError with all faults, ValueError for stages that can't train one and the same model.
    """
    first = recipe.stages[0]
    for stage in recipe.stages:
        if stage.objective.learner is not first.objective.learner:
            raise ValueError(
                f"stages: {stage.name!r} ({stage.objective.kind}) can't train the model of {first.name!r} "
                f"({first.objective.kind}); make it a recipe of its own, and let its start name the result"
            )
    _check_new_rows(recipe)
    learner: Any = first.objective.learner.start(recipe.start, recipe.seed)
    checked = [stage.objective.check(stage, learner, progress) for stage in recipe.stages]
    report = sum((found for _, found in checked), CheckReport())
    return Setup(recipe, learner, tuple(sources for sources, _ in checked), report)


def _check_new_rows(recipe: Recipe) -> None:
    """New tokens whose rows no stage trains would stay what wrote their names before."""
    if recipe.start.add_tokens and not any(trains(stage.rules, EMBEDDING) for stage in recipe.stages):
        raise ValueError(
            f"start.add_tokens: no stage trains the rows of {recipe.start.add_tokens[0]!r}: let the rules of "
            f"one give {EMBEDDING} a learning_rate"
        )
