"""Useful FLOPs beside those that PyTorch counts in a real step of the nano model."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from tessera.nn.lora import LoRAConfig
from tessera.packing.pack import collate
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.plan.flops import effort_of
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.rules import Rule, assign
from tessera.train.update.wrapping import wrap
from tests.train import tiny

CONNECTOR = (Rule(pattern=r"^connector\.", learning_rate=1e-3), Rule(pattern="."))
DECODER = (Rule(pattern=r"^decoder\.", learning_rate=1e-3), Rule(pattern="."))
LORA = (
    Rule(pattern=r"^decoder\.layers\..+_proj\.", learning_rate=1e-3, lora=LoRAConfig(rank=4, dropout=0)),
    Rule(pattern="."),
)


class Products(TorchDispatchMode):
    """FLOPs of all operators, by PyTorch's formulas, which have none for its own attention on CPUs.

    Its own counter can't follow a head that is run inside of a node.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if "flash_attention_for_cpu" in str(func):
            backward = "backward" in str(func)
            query, key = args[backward : backward + 2]
            self.total += (8 if backward else 4) * query.numel() * key.shape[2]
        elif (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


@pytest.mark.parametrize(
    "rules", [(tiny.ALL,), CONNECTOR, DECODER, LORA], ids=["all", "connector", "decoder", "lora"]
)
def test_as_pytorch_counts_a_step(rules: tuple[Rule, ...]) -> None:
    model = tiny.model()
    wrap(model, rules, 0, Masters())
    assign(model, rules)
    pack = collate(tiny.samples(3))
    with Products() as counter:
        Step(ConversationObjective(), model, torch.device("cpu")).gradients([pack])
    # PyTorch counts every pair of a sample, those that a causal mask hides, too.
    pairs = sum(length**2 for length in pack.lengths)
    found = effort_of(model.config, rules).of(
        tiles=len(pack.tiles), tokens=sum(pack.lengths), pairs=pairs, supervised=sum(pack.trained)
    )
    assert found == pytest.approx(counter.total, rel=0.02)


def test_a_frozen_part_without_gradients_counts_once() -> None:
    """Thrice where it is trained, twice where gradients only pass through."""
    whole, connector, decoder = (
        effort_of(tiny.model().config, rules) for rules in ((tiny.ALL,), CONNECTOR, DECODER)
    )
    assert decoder.tile == pytest.approx(whole.tile / 3, rel=0.05)  # pixels ask no gradient
    assert connector.token == pytest.approx(whole.token * 2 / 3, rel=0.02)
    assert connector.pair == whole.pair
