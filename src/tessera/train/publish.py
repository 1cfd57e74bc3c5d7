"""What finished stages leave for other rooms: whole models, or adapters beside the base they belong to.

The base of an adapter is the run's start, or the whole model of an earlier stage. Where the weights under the
factors lie nowhere yet (fresh parts, new tokens, factors of an earlier stage merged in), they are written
before the stage begins.
"""

from itertools import pairwise
from pathlib import Path

from tessera.nn.lora import LoRALinear, lora_linears, own_name, weight_of
from tessera.nn.quantised import QuantisedLinear
from tessera.runtime.atomic import atomic_folder
from tessera.runtime.shown import shown
from tessera.train.objective.contract import Tensors
from tessera.train.setup import Setup
from tessera.train.update.rules import trains
from tessera.train.update.wrapping import go_on, wrapping_of


class Publisher:
    """Folders of a run's stages. Made of a model as the start gives it, before anything is wrapped.

    ValueError naming the stage for factors that its files couldn't hold, or that would have to be merged into
    a quantised base.
    """

    def __init__(self, setup: Setup, folder: Path) -> None:
        self._setup, self._folder, self._stages = setup, folder, setup.recipe.stages
        model = setup.learner.model
        names = [own_name(name) for name, _ in model.named_parameters()]
        self._names = [name for name in names if name == weight_of(name)]
        attached = {path: module.config for path, module in lora_linears(model)}
        self._wrappings = [wrapping_of(model, stage.rules) for stage in self._stages]
        base = setup.learner.base if any(self._wrappings) and self._writes_adapters() else None
        self._kept = base is not None and base.is_start and go_on(attached, self._wrappings[0])
        quantised = {path for path, module in model.named_modules() if _is_quantised(module)}
        for index, wrapping in enumerate(self._wrappings):
            before = self._wrappings[index - 1] if index else attached
            over = {path: config for path, config in before.items() if path in quantised}
            if not go_on(over, wrapping):
                raise ValueError(
                    f"stages.{index}: {self._stages[index].name!r} has other LoRA settings than what "
                    "stands before it, but factors can't be merged into a quantised base: keep rank and "
                    "alpha, or set start.frozen to stored"
                )
            if wrapping:
                self._setup.learner.adapter(wrapping, *self._base(index))

    def require_one_wrapping(self) -> None:
        """ValueError where a later stage wraps other linears: a model is spread over processes once."""
        for index, (before, after) in enumerate(pairwise(self._wrappings), 1):
            if before.keys() != after.keys() or not go_on(before, after):
                raise ValueError(
                    f"stages.{index}: {self._stages[index].name!r} has LoRA on other linears or of another "
                    "shape than the stage before; with parallel.shard a run has one set of factors: make it "
                    "a run of its own that starts from the folder of the first"
                )

    def stage_folder(self, index: int) -> Path:
        """Where the model or the adapter of a finished stage is written."""
        return self._folder / f"{index}_{self._stages[index].name}"

    def writes_base(self, index: int) -> bool:
        """Whether the weights under a stage's factors are still to be written."""
        return bool(self._wrappings[index]) and self._base(index)[0] == self._base_folder(index)

    def write_base(self, index: int, tensors: Tensors) -> None:
        """Write them, of all weights before the stage's first step."""
        plain = ((name, value) for name, value in tensors if name in self._names)
        with atomic_folder(self._base_folder(index)) as fresh:
            self._setup.save(fresh, plain)

    def write(self, folder: Path, index: int, tensors: Tensors) -> None:
        """A stage's outcome, of all weights and factors behind its last step."""
        with atomic_folder(folder) as fresh:
            if wrapping := self._wrappings[index]:
                base, trained = self._base(index)
                self._setup.learner.adapter(wrapping, base, trained).write(fresh, tensors)
            else:
                self._setup.save(fresh, tensors)

    def _base(self, index: int) -> tuple[Path | None, frozenset[str]]:
        """Folder of the weights under a stage's factors, None for what the run started from; and the weights
        that were trained themselves since."""
        folder = None if self._kept else self._base_folder(0)
        first = 0
        for before in range(index):
            if not self._wrappings[before]:
                folder, first = self.stage_folder(before), before + 1
            elif not go_on(self._wrappings[before], self._wrappings[before + 1]):
                folder, first = self._base_folder(before + 1), before + 1
        stages = self._stages[first : index + 1]
        return folder, frozenset(n for n in self._names if any(trains(stage.rules, n) for stage in stages))

    def _base_folder(self, index: int) -> Path:
        return self._folder / f"base_{index}_{self._stages[index].name}"

    def _writes_adapters(self) -> bool:
        if not hasattr(self._setup.learner, "adapter"):
            raise ValueError(
                f"recipe {shown(self._setup.recipe.name)}: lora is for chat models; "
                f"{self._stages[0].objective.kind} runs write no adapters, so leave it out of their rules"
            )
        return True


def _is_quantised(module: object) -> bool:
    return isinstance(module, QuantisedLinear) or (
        isinstance(module, LoRALinear) and isinstance(module.base, QuantisedLinear)
    )
