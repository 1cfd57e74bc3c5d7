"""Recipes: what a run is, as one typed value. `tessera.recipes` has those that ship."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from tessera.nn.recompute import Recompute
from tessera.runtime.config import Config, first_fault
from tessera.train.compiled import Compile
from tessera.train.objective import AnyObjective
from tessera.train.objective.contract import Fillable, ManifestSpec, StageData
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.learner import Start
from tessera.train.parallel.config import Parallel
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule
from tessera.train.watch.best import Best
from tessera.train.watch.evaluation import EvaluationSpec

__all__ = ["ManifestSpec", "Recipe", "Stage", "Start", "gaps", "require_filled", "revalidated", "to_fill"]

_GAP = "? "


class Stage(StageData):
    """One phase of training: what is trained, on what, how long."""

    steps: int = Field(gt=0)
    epochs: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Passes over the sources: the stage ends behind about so many, if `steps` does not end it before."""
    rules: tuple[Rule, ...] = Field(min_length=1)
    """Ordered; the first pattern that matches a parameter decides."""
    objective: AnyObjective = ConversationObjective()
    schedule: Schedule = Schedule()
    optimizer: OptimizerConfig = OptimizerConfig()
    drop_path: float | None = Field(default=None, ge=0, lt=1)
    """Highest drop-path rate of the ViT in this stage; None keeps the model's own."""
    drop_path_uniform: bool = False
    """That rate in every layer, instead of rates that rise from 0."""
    evaluation: EvaluationSpec | None = None
    """Questions that the model answers on the way."""
    recompute: Recompute = "none"
    """What the backward pass computes again instead of keeping it: nothing, whole blocks, or all but the dear
    products. Less memory for more time; gradients stay the same."""
    compile: Compile = "none"
    """Whether blocks go through `torch.compile`, and packs are padded to the capacities of `packing`, so that
    it sees one shape (docs/speed_of_training.md). It pays on a GPU, not on a CPU."""
    cache_features: str | None = None
    """Folder that keeps what a frozen ViT gives for each tile, for later epochs and runs
    (docs/speed_of_training.md)."""
    cache_gib: float = Field(default=64.0, gt=0, allow_inf_nan=False)
    """What that folder holds at most, in GiB; a tile takes 2 MiB with a ViT of 300M in bfloat16."""

    @model_validator(mode="after")
    def _learns_to_the_end(self) -> Stage:
        horizon, floor = self.schedule.horizon, self.schedule.floor
        if horizon is not None and horizon < self.steps and not floor and self.schedule.kind != "constant":
            raise ValueError(
                f"schedule.horizon = {horizon} ends before steps = {self.steps}: the rates would be 0 from "
                "there on; raise horizon, lower steps, or give schedule.floor"
            )
        return self

    @model_validator(mode="after")
    def _can_compile(self) -> Stage:
        if self.compile != "none" and self.recompute == "selective":
            raise ValueError(
                f"compile = {self.compile!r} and recompute = 'selective' don't go together: a graph hides "
                "the operators that would be kept; set recompute to 'none' or 'blocks'"
            )
        if self.compile != "none" and not isinstance(self.objective, Fillable):
            raise ValueError(
                f"compile = {self.compile!r}: batches of the objective {self.objective.kind!r} have no shape "
                "to be padded to; leave it none"
            )
        return self

    @property
    def remarks(self) -> list[str]:
        """What is allowed and hardly meant."""
        warmup = self.schedule.warmup
        if isinstance(warmup, int) and warmup >= self.steps:
            return [
                f"stage {self.name!r}: its {self.steps} steps end in a warm-up of {warmup}: the peak rates "
                "are never reached"
            ]
        return []


class Recipe(Config):
    """A complete run."""

    name: str
    stages: tuple[Stage, ...] = Field(min_length=1)
    start: Start = Start()
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of weights and products. With bfloat16 the optimizer adds up in float32 (docs/updates.md)."""
    save_dtype: Literal["start", "float32", "bfloat16"] = "start"
    """Of the models behind the stages; "start" gives each weight the dtype it had in the beginning, which is
    float32 for fresh ones. States always hold float32."""
    device: str = "auto"
    parallel: Parallel = Parallel()
    best: Best = "loss"
    """The model of the best step so far is kept in `best`: by held-out loss, by right answers, or not."""
    save_every: int = Field(default=500, gt=0)
    """Steps between checkpoints of the training state."""
    log_every: int = Field(default=1, gt=0)
    """Steps between readings of loss and norm, which wait for the device; reports come as often."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What a step does whose loss or gradient is not finite: end the run, or learn nothing and be counted.
    Its samples are kept either way (docs/updates.md)."""
    most_skipped: int = Field(default=10, ge=0)
    """Steps of a stage that may be skipped before the run ends."""
    save_in_background: bool | None = None
    """Copy a state to host memory and write it while the run goes on; None does so beside an accelerator."""

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages: names {names} repeat; give every stage its own name")
        return self


def revalidated(recipe: Recipe) -> Recipe:
    """The same, with all values looked at: variants by `model_copy` were not. ValueError naming the field."""
    try:
        return Recipe.model_validate(recipe.model_dump())
    except ValidationError as error:
        raise ValueError(first_fault(error, "recipe")) from error


def to_fill(what: str) -> str:
    """The value of a text field that only the user can give. A run does not start while one is left."""
    return f"{_GAP}{what}"


def is_gap(value: str) -> bool:
    """Whether a text is still to be filled."""
    return value.startswith(_GAP)


def gaps(recipe: Recipe) -> dict[str, str]:
    """Fields that are still to be filled, such as stages.0.sources.0.meta, and what each wants."""

    def walk(value: object, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, str) and value.startswith(_GAP):
            yield path, value.removeprefix(_GAP)
        if isinstance(value, (dict, list)):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            for name, inner in pairs:
                yield from walk(inner, f"{path}.{name}" if path else str(name))

    return dict(walk(recipe.model_dump(mode="json"), ""))


def require_filled(recipe: Recipe) -> None:
    """ValueError naming the first field that is still to be filled, and what it wants."""
    for field, what in gaps(recipe).items():
        raise ValueError(
            f"{field} is yours to fill: {what}. Give it in the recipe's file, or as --{field} VALUE"
        )
