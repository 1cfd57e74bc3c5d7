"""Which weights are no longer those that the recipe's start gives: the others need not be in a state."""

from collections.abc import Iterable, Sequence

from torch import nn

from tessera.nn.lora import own_name
from tessera.train.recipe import Stage
from tessera.train.state.folder import RunPosition
from tessera.train.update.rules import decides, trains


def changed(model: nn.Module, stages: Sequence[Stage], position: RunPosition) -> frozenset[str]:
    """Own names of the weights of a model, wrapped as its stage wants it, that training has changed there.

    A frozen base of LoRA factors is not among them until a stage with other rules has them merged into it.
    """
    begun = stages[: position.stage + (position.step > 0)]
    wrapped = stages[: position.stage + 1]
    names = {own_name(name) for name, _ in model.named_parameters()}
    return frozenset(
        name for name in names if any(trains(stage.rules, name) for stage in begun) or _merged(wrapped, name)
    )


def _merged(stages: Iterable[Stage], name: str) -> bool:
    """Whether factors beside a weight had to make room for those of a later stage, or for none."""
    before = None
    for stage in stages:
        index = decides(stage.rules, name)
        config = None if index is None else stage.rules[index].lora
        now = None if config is None else (config.rank, config.scale)
        if before not in (None, now):
            return True
        before = now
    return False
