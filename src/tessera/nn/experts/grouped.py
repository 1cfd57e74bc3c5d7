"""Rows sorted by expert through gate, activation and way back: one product for an expert, not for a token."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from tessera.nn.experts.stack import ExpertLayers, ExpertStack, expert_product

Gate = Callable[[torch.Tensor], torch.Tensor]
"""[n, 2 I] to [n, I]."""
ALIGNED = 16
"""Bytes at which rows must begin for PyTorch's grouped product on CUDA."""


def rows_of_each(taken: torch.Tensor, experts: int) -> torch.Tensor:
    """int64 [E]: how many rows of taken int64 [R] go to each expert. On the meta device, where there are no
    numbers, the first has all."""
    if taken.device.type == "meta":
        return torch.tensor([len(taken)] + [0] * (experts - 1), device="cpu")
    return torch.bincount(taken, minlength=experts)


def expert_rows(
    rows: torch.Tensor,
    counts: torch.Tensor,
    stacks: tuple[nn.Module, nn.Module],
    gate: Gate,
    cuts: tuple[ExpertLayers, ExpertLayers],
) -> torch.Tensor:
    """Rows [R, D], those of the first expert first, to [R, D]. counts int64 [E]: rows of each expert.

    On CUDA in bfloat16 all experts are one call of `F.grouped_mm`, and nothing waits for the device;
    elsewhere the experts that have rows take turns.
    """
    first, last = stacks
    if grouped_here(rows, stacks):
        ends = counts.cumsum(0).int()
        return grouped_product(gate(grouped_product(rows, first, counts, ends)), last, counts, ends)
    sizes: list[int] = counts.tolist()
    one, other = (expert_product(stack, len(sizes), cut) for stack, cut in zip(stacks, cuts, strict=True))
    parts = [
        other(number, gate(one(number, part))) for number, part in enumerate(rows.split(sizes)) if len(part)
    ]
    return torch.cat(parts) if parts else rows


def grouped_here(rows: torch.Tensor, stacks: tuple[nn.Module, nn.Module]) -> bool:
    """Whether PyTorch's grouped product takes these rows on their device."""
    if rows.device.type != "cuda" or rows.dtype != torch.bfloat16 or not hasattr(F, "grouped_mm"):
        return False
    plain = all(type(stack) is ExpertStack and stack.weight.dtype == rows.dtype for stack in stacks)
    widths = (stack.in_features * rows.element_size() for stack in stacks if isinstance(stack, nn.Linear))
    return plain and all(width % ALIGNED == 0 for width in widths)


def grouped_product(
    rows: torch.Tensor, stack: nn.Module, counts: torch.Tensor, ends: torch.Tensor
) -> torch.Tensor:
    """Rows [R, in] to [R, out], each by the matrix of its expert; ends int32 [E]: where an expert's end."""
    assert isinstance(stack, nn.Linear)
    weight = stack.weight.unflatten(0, (len(counts), -1))  # [E, out, in]
    out: torch.Tensor = F.grouped_mm(rows, weight.transpose(1, 2), offs=ends)
    if stack.bias is None:
        return out
    each = stack.bias.unflatten(0, (len(counts), -1))
    return out + each.repeat_interleave(counts, 0, output_size=len(rows))
