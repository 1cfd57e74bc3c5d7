"""The matrices of all experts of a block, one below the other: some rows of it are the matrix of one expert.

As rows of one linear they are read, quantised and shared out like every other matrix. A forward pass reads
the rows of those experts that got tokens, and no others.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from tessera.nn.linear import PackedLinear, addresses
from tessera.nn.quantised import QuantisedLinear

Product = Callable[[int, torch.Tensor], torch.Tensor]
"""Number of an expert and its rows [n, in] to [n, out]."""


class ExpertStack(nn.Linear):
    """weight [E * out, in] and bias [E * out] of `count` experts; it has no product of its own."""

    def __init__(self, count: int, inner: int, out: int, bias: bool) -> None:
        super().__init__(inner, count * out, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """ValueError: the rows of one expert are another's."""
        raise ValueError(f"ExpertStack of {self.out_features} rows: ask `expert_product` for one expert")


class ExpertLayers:
    """The experts of a packed or quantised stack as layers of their own, which share its memory.

    Made again where the stack's tensors have moved.
    """

    def __init__(self) -> None:
        self._of: tuple[int, ...] = ()
        self._layers: list[nn.Module] = []

    def layers(self, stack: PackedLinear | QuantisedLinear, count: int) -> list[nn.Module]:
        """One for each of `count` experts."""
        place = addresses(stack)
        if not self._layers or self._of != place:
            self._of, self._layers = place, list(stack.cut(count))
        return self._layers

    def __deepcopy__(self, memo: object) -> ExpertLayers:
        return ExpertLayers()

    def __reduce__(self) -> tuple[type[ExpertLayers], tuple[()]]:
        return ExpertLayers, ()


def expert_product(stack: nn.Module, count: int, cut: ExpertLayers) -> Product:
    """The product with one expert of a stack, plain, packed or in few bits. ValueError for another layer."""
    if isinstance(stack, PackedLinear | QuantisedLinear):
        layers = cut.layers(stack, count)
        return lambda number, rows: layers[number](rows)
    if not isinstance(stack, nn.Linear):
        raise ValueError(
            f"experts: {type(stack).__name__} in place of a stack of experts; LoRA takes matrices of "
            "attention alone: name them in the rule's pattern"
        )
    weight, bias = stack.weight.unflatten(0, (count, -1)), None
    if stack.bias is not None:
        bias = stack.bias.unflatten(0, (count, -1))
    if torch.is_grad_enabled() and weight.requires_grad:
        # The gradient of a cut is a whole stack of zeros: one for all experts, not one for each.
        weights, biases = weight.unbind(), None if bias is None else bias.unbind()
        return lambda number, rows: F.linear(
            rows, weights[number], None if biases is None else biases[number]
        )
    return lambda number, rows: F.linear(rows, weight[number], None if bias is None else bias[number])
