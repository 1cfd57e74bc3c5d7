"""The chunked loss against torch's own on all logits at once."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tessera.nn import cross_entropy
from tessera.nn.cross_entropy import cross_entropy_sum

ROWS, WIDTH, VOCABULARY = 11, 6, 40


class Adapted(nn.Module):
    """A frozen product with a trained one beside it, as a LoRA layer has."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(WIDTH, VOCABULARY).requires_grad_(False)
        self.inner = nn.Linear(WIDTH, 2, bias=False)
        self.outer = nn.Linear(2, VOCABULARY, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.base(x) + self.outer(self.inner(x))
        return out


def _draw() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(ROWS, WIDTH), torch.randint(VOCABULARY, (ROWS,)), torch.rand(ROWS)


def _learn(head: nn.Module, chunked: bool, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Loss and gradients of a third of the loss."""
    rows, targets, weights = _draw()
    rows = rows.to(dtype).requires_grad_()
    head.to(dtype).zero_grad()
    if chunked:
        loss = cross_entropy_sum(head, rows, targets, weights, VOCABULARY)
    else:
        loss = (F.cross_entropy(head(rows).float(), targets, reduction="none") * weights).sum()
    (loss / 3).backward()
    found = {name: p.grad for name, p in head.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), "rows": rows.grad, **found}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("chunk", [1, 4, ROWS, 100])
def test_loss_and_gradients_are_those_of_all_logits(
    chunk: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_entropy, "LOGITS_AT_ONCE", chunk * VOCABULARY)
    tolerance = {"atol": 1e-6, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 1e-2, "rtol": 2e-2}
    frozen = nn.Linear(WIDTH, VOCABULARY).requires_grad_(False)
    for head in (nn.Linear(WIDTH, VOCABULARY), frozen, Adapted()):
        chunked, whole = _learn(head, True, dtype), _learn(head, False, dtype)
        assert chunked.keys() == whole.keys()
        torch.testing.assert_close(chunked, whole, **tolerance)


def test_never_more_than_a_chunk_of_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "LOGITS_AT_ONCE", 3 * VOCABULARY)
    seen: list[int] = []
    head = nn.Linear(WIDTH, VOCABULARY)
    head.register_forward_hook(lambda _, __, logits: seen.append(len(logits)))
    _learn(head, True, torch.float32)
    assert seen == [3, 3, 3, 2]


def test_without_rows_the_gradient_is_zero_and_not_missing() -> None:
    """A rank whose pack has no target takes part in the same collectives as the others."""
    head, rows = nn.Linear(WIDTH, VOCABULARY), torch.empty(0, WIDTH, requires_grad=True)
    loss = cross_entropy_sum(head, rows, torch.empty(0, dtype=torch.int64), torch.empty(0), VOCABULARY)
    loss.backward()
    assert loss == 0
    assert head.weight.grad is not None and not head.weight.grad.any()


def test_head_alone_learns_from_rows_without_gradient() -> None:
    rows, targets, weights = _draw()
    head = nn.Linear(WIDTH, VOCABULARY)
    cross_entropy_sum(head, rows, targets, weights, VOCABULARY).backward()
    (F.cross_entropy(head(rows), targets, reduction="none") * weights).sum().backward()
    assert head.weight.grad is not None  # the sum of both
    whole = nn.Linear(WIDTH, VOCABULARY)
    whole.load_state_dict(head.state_dict())
    (F.cross_entropy(whole(rows), targets, reduction="none") * weights).sum().backward()
    assert whole.weight.grad is not None
    torch.testing.assert_close(head.weight.grad, 2 * whole.weight.grad)


def test_measures_without_a_graph() -> None:
    rows, targets, weights = _draw()
    head = nn.Linear(WIDTH, VOCABULARY)
    with torch.no_grad():
        loss = cross_entropy_sum(head, rows, targets, weights, VOCABULARY)
        expected = (F.cross_entropy(head(rows), targets, reduction="none") * weights).sum()
    assert not loss.requires_grad
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
