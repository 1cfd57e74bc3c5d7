"""The loss of a vocabulary head, a chunk of logits at a time, with its gradient made on the way forward.

Logits are the largest tensors of a training step: 151,000 numbers a token. As the loss is a sum over tokens,
the gradient of a chunk is known as soon as its logits are; nothing is kept for the backward pass but the
gradients of the rows and of the head itself, and nothing is computed twice.

Where the loss is another function of the log-probabilities, its slope is known only behind all of them:
`target_logprobs` keeps the rows and computes the logits of a chunk again on the way back.
"""

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

LOGITS_AT_ONCE = 2**26
"""Numbers in a chunk: 256 MiB in float32, 442 tokens of Qwen's vocabulary."""

IN_CACHE = 2**20
"""Numbers that several passes go over one after another on a CPU: 4 MiB in float32."""


def cross_entropy_sum(
    head: nn.Module, rows: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, vocabulary: int
) -> torch.Tensor:
    """Weighted sum of the cross-entropies of `head(rows)`, a float32 scalar; softmax in float32.

    rows float [R, D], targets int64 [R], weights float32 [R]; `head` is any module from [R, D] to logits
    [R, vocabulary]: plain, adapted, or frozen, of which no gradient of weights is computed.
    """
    trained = [parameter for parameter in head.parameters() if parameter.requires_grad]
    chunk = max(1, LOGITS_AT_ONCE // vocabulary)
    out: torch.Tensor = _SummedLoss.apply(rows, head, targets, weights, chunk, *trained)
    return out


class _SummedLoss(torch.autograd.Function):
    """Forward gives the loss and keeps its gradients, backward scales them; `trained` are the head's."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: torch.Tensor,
        head: nn.Module,
        targets: torch.Tensor,
        weights: torch.Tensor,
        chunk: int,
        *trained: torch.Tensor,
    ) -> torch.Tensor:
        learns, to_rows = any(ctx.needs_input_grad), torch.zeros_like(rows)
        to_trained: list[torch.Tensor | None] = [None] * len(trained)
        total = rows.new_zeros((), dtype=torch.float32)
        for start in range(0, max(1, len(rows)), chunk):  # once without rows, too: all ranks do the same
            part = slice(start, start + chunk)
            piece = rows[part].detach().requires_grad_(ctx.needs_input_grad[0])
            with torch.set_grad_enabled(learns):
                logits = head(piece)
            loss, slope = _loss_and_slope(logits.detach(), targets[part], weights[part])
            total += loss
            if learns:
                wanted = [x for x in (piece, *trained) if x.requires_grad]
                found = list(torch.autograd.grad(logits, wanted, slope))
                if piece.requires_grad:
                    to_rows[part] = found.pop(0)
                to_trained = list(map(_sum, to_trained, found))
        ctx.gradients = [to_rows, *to_trained]
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (factor,), (to_rows, *to_trained) = gradients, ctx.gradients
        ctx.gradients = ()  # scaled in place, so only once
        return to_rows.mul_(factor), None, None, None, None, *(each.mul_(factor) for each in to_trained)


def target_logprobs(
    head: nn.Module, rows: torch.Tensor, targets: torch.Tensor, vocabulary: int
) -> torch.Tensor:
    """Log-probability of each target, float32 [R], as `cross_entropy_sum` takes them."""
    trained = [parameter for parameter in head.parameters() if parameter.requires_grad]
    out: torch.Tensor = _TargetLogprobs.apply(rows, head, targets, vocabulary, *trained)
    return out


class _TargetLogprobs(torch.autograd.Function):
    """Rows are kept; `trained` are the head's."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: torch.Tensor,
        head: nn.Module,
        targets: torch.Tensor,
        vocabulary: int,
        *trained: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(rows, targets)
        ctx.head, ctx.vocabulary, ctx.trained = head, vocabulary, trained
        chunk = max(1, LOGITS_AT_ONCE // vocabulary)
        parts = zip(rows.split(chunk), targets.split(chunk), strict=True)
        return torch.cat([_logprobs(head(some), wanted) for some, wanted in parts])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (rows, targets), trained = ctx.saved_tensors, ctx.trained
        leaf = rows.detach().requires_grad_(ctx.needs_input_grad[0])
        with torch.enable_grad():
            # The slope of -g * log p is what the weighted loss has, with g for a weight.
            loss = cross_entropy_sum(ctx.head, leaf, targets, -gradients[0], ctx.vocabulary)
        wanted = [x for x in (leaf, *trained) if x.requires_grad]
        found = list(torch.autograd.grad(loss, wanted))
        to_rows = found.pop(0) if leaf.requires_grad else None
        return to_rows, None, None, None, *found


def _loss_and_slope(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of a chunk [r, V], and its gradient by the logits, which it replaces."""
    rows = _rows_at_once(logits)
    parts = zip(logits.split(rows), targets.split(rows), weights.split(rows), strict=True)
    return torch.stack([_replace_by_slope(*part) for part in parts]).sum(), logits


def _logprobs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of the targets [r], from logits [r, V]; float32."""
    rows = _rows_at_once(logits)
    parts = zip(logits.split(rows), targets.split(rows), strict=True)
    logs = [torch.log_softmax(x, -1, dtype=torch.float32).gather(1, y[:, None])[:, 0] for x, y in parts]
    return torch.cat(logs)


def _replace_by_slope(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    logs = torch.log_softmax(logits, -1, dtype=torch.float32)
    at_target = targets[:, None]
    loss = -(logs.gather(1, at_target)[:, 0] * weights).sum()
    slope = logs.exp_().mul_(weights[:, None])
    logits.copy_(slope.scatter_add_(1, at_target, -weights[:, None]))
    return loss


def _sum(old: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
    """Chunks add up in float32, whatever the weights are."""
    if old is None:
        return new
    wide, rows = old.float(), _rows_at_once(new)
    for sums, more in zip(wide.split(rows), new.split(rows), strict=True):
        sums += more
    return wide


def _rows_at_once(tensor: torch.Tensor) -> int:
    """Rows that are gone through together; all of them on a GPU, where calls are dear."""
    if tensor.device.type != "cpu":
        return max(1, len(tensor))
    return max(1, IN_CACHE * len(tensor) // max(1, tensor.numel()))
