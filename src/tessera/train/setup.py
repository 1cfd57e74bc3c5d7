"""From a recipe to objects: the learner, and the checked sources of every stage."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

from tessera.checkpoints.added import EMBEDDING
from tessera.curation.check import CheckReport
from tessera.runtime.progress import Progress, silent
from tessera.train.objective.contract import Beginnable, Checked, Loader, ManifestSpec, Sources, Tensors
from tessera.train.parallel.ranks import ALONE, Ranks
from tessera.train.recipe import Recipe, Stage, require_filled, revalidated
from tessera.train.update.rules import trains
from tessera.train.update.wrapping import require_linears
from tessera.train.vision_cache import require_cacheable


@dataclass(frozen=True)
class Setup:
    """A recipe that can run."""

    given: Recipe
    """As the user gave it."""
    recipe: Recipe
    """With the steps that its passes over the data take."""
    learner: Any
    """Of the recipe's objectives; all its stages share it."""
    sources: tuple[Sources, ...]
    """Of each stage, as far as they may be used."""
    validation: tuple[Sources, ...]
    """Of each stage; empty where nothing is measured."""
    report: CheckReport
    """What was found in all of them."""

    def loader(self, index: int, ranks: Ranks = ALONE) -> Loader:
        """The batches of a stage for one rank, seeded by recipe and stage."""
        stage = self.recipe.stages[index]
        seeds = (self.recipe.seed, index)
        return stage.objective.loader(stage, self.learner, self.sources[index], seeds, ranks)

    def validation_data(self, index: int) -> Stage:
        """A stage as it reads what it is measured on."""
        stage = self.recipe.stages[index]
        packing = stage.packing.model_copy(update={"epochs": 1, "augment": False, "seed": 0})
        return stage.model_copy(update={"packing": packing, "accumulate": 1})

    def validation_batches(self, index: int) -> Iterator[Any]:
        """The batches that a stage is measured on: without augmentation, whatever the seed of the run."""
        stage, data = self.recipe.stages[index], self.validation_data(index)
        with closing(
            stage.objective.loader(data, self.learner, self.validation[index], (0, 0), ALONE)
        ) as loader:
            yield from islice(loader, stage.validation_packs)

    def save(self, folder: Path, tensors: Tensors) -> None:
        """The model of these weights, with a card that says how it was made."""
        recipe = self.recipe
        settings = recipe.model_dump(mode="json")
        card = {"recipe": recipe.name, "seed": recipe.seed, "settings": settings}
        self.learner.save(folder, card, tensors)


def set_up(recipe: Recipe, progress: Progress = silent) -> Setup:
    """Build the model and check the sources of every stage.

    Raises DataError with all faults, ValueError for a field that can't be, and for stages that can't train
    one and the same model.
    """
    require_filled(recipe)
    recipe = revalidated(recipe)
    first = recipe.stages[0]
    for stage in recipe.stages:
        if stage.objective.learner is not first.objective.learner:
            raise ValueError(
                f"stages: {stage.name!r} ({stage.objective.kind}) can't train the model of {first.name!r} "
                f"({first.objective.kind}); make it a recipe of its own, and let its start name the result"
            )
    _check_new_rows(recipe)
    _check_beginnings(recipe)
    learner: Any = first.objective.learner.start(recipe.start, recipe.seed, _still(recipe))
    for stage in recipe.stages:
        require_linears(learner.model, stage.rules)
    checked = [stage.objective.check(stage, learner, progress) for stage in recipe.stages]
    for stage, (found, _) in zip(recipe.stages, checked, strict=True):
        require_cacheable(stage, learner.model, found)
    held_out = [_check_validation(stage, learner, progress) for stage in recipe.stages]
    report = sum((found for _, found in (*checked, *held_out)), CheckReport())
    sources, validation = (tuple(sources for sources, _ in found) for found in (checked, held_out))
    ends = [with_steps(*given, learner) for given in zip(recipe.stages, sources, strict=True)]
    counted = recipe.model_copy(update={"stages": tuple(ends)})
    return Setup(recipe, counted, learner, sources, validation, report)


def _still(recipe: Recipe) -> Callable[[str], bool]:
    """Whether a weight is never trained itself."""
    return lambda name: not any(trains(stage.rules, name) for stage in recipe.stages)


def with_steps(stage: Stage, sources: Sources, learner: Any) -> Stage:
    """The stage with the steps that its passes over the data take, where it says how many."""
    if stage.epochs is None:
        return stage
    batches = stage.epochs * stage.objective.batches_per_pass(stage, learner, sources)
    return stage.model_copy(update={"steps": min(stage.steps, max(1, ceil(batches / stage.accumulate)))})


def _check_new_rows(recipe: Recipe) -> None:
    """New tokens whose rows no stage trains would stay what wrote their names before."""
    links = recipe.start.links.tokens if recipe.start.links else ()
    new = (*recipe.start.add_tokens, *(link.token for link in links))
    if new and not any(trains(stage.rules, EMBEDDING) for stage in recipe.stages):
        field = "add_tokens" if recipe.start.add_tokens else "links"
        raise ValueError(
            f"start.{field}: no stage trains the rows of {new[0]!r}: let the rules of "
            f"one give {EMBEDDING} a learning_rate"
        )


def _check_beginnings(recipe: Recipe) -> None:
    """An objective that compares with the weights that its stage starts from needs to find them again."""
    for stage in recipe.stages[1:]:
        if isinstance(stage.objective, Beginnable):
            raise ValueError(
                f"stages: {stage.name!r} ({stage.objective.kind}) compares with the model that it starts "
                "from, which a run that goes on has for its first stage alone; make it a recipe of its own, "
                "and let its start name the model of the stage before"
            )


def _check_validation(stage: Stage, learner: Any, progress: Progress) -> Checked:
    """The sources that a stage is measured on, checked as those it learns from."""
    if not stage.validation:
        return (), CheckReport()
    specs = tuple(ManifestSpec(meta=meta) for meta in stage.validation)
    return stage.objective.check(stage.model_copy(update={"sources": specs}), learner, progress)
