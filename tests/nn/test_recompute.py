"""What is not kept is computed again: the same gradients to the bit, from less memory."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tessera.nn.drop_path import set_drop_path
from tessera.nn.recompute import Recompute, run_block, set_recompute
from tessera.packing.pack import collate
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.step import Step
from tests.train import tiny


def _gradients(how: Recompute) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients, with drop path drawn from one seed."""
    model = tiny.model()
    set_drop_path(model, 0.3)
    set_recompute(model, how)
    torch.manual_seed(3)
    loss, _ = Step(ConversationObjective(), model, tiny.CPU).gradients([collate(tiny.samples(4))])
    return float(loss), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("how", ["blocks", "selective"])
def test_gradients_are_those_of_a_step_that_keeps_everything(how: Recompute) -> None:
    loss, gradients = _gradients("none")
    again, others = _gradients(how)
    assert again == loss
    assert others.keys() == gradients.keys()
    assert all(torch.equal(others[name], gradient) for name, gradient in gradients.items())


class _Alive(TorchDispatchMode):
    """Bytes of results that somebody still holds."""

    def __init__(self) -> None:
        super().__init__()
        self._made: list[tuple[weakref.ref[torch.Tensor], int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple) else (out,):
            if isinstance(tensor, torch.Tensor):
                self._made.append((weakref.ref(tensor), tensor.nbytes))
        return out

    def total(self) -> int:
        return sum(nbytes for made, nbytes in self._made if made() is not None)


def _costs(how: Recompute) -> tuple[int, int]:
    """FLOPs of forward and backward of a block, and bytes that are kept between them."""
    block = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 8))
    with FlopCounterMode(display=False) as flops, _Alive() as alive:
        out = run_block(block, how, torch.randn(64, 8, requires_grad=True))
        kept = alive.total()
        out.sum().backward()
    return flops.get_total_flops(), kept


def test_blocks_compute_products_again_and_selective_does_not() -> None:
    (flops, kept), (less, fewest), (same, fewer) = map(_costs, ("none", "blocks", "selective"))
    assert same == flops < less
    assert fewest < fewer < kept


def test_a_model_without_stacks_is_refused() -> None:
    with pytest.raises(ValueError, match="recompute = 'blocks': Linear has no stack"):
        set_recompute(nn.Linear(2, 2), "blocks")
    set_recompute(nn.Linear(2, 2), "none")
