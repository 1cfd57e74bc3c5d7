"""Routed experts against a loop over tokens, and the balance loss against transformers'."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F
from transformers.models.qwen3_moe.modeling_qwen3_moe import load_balancing_loss_func

from tessera.models.experts import ExpertsConfig
from tessera.nn.codes import quantise
from tessera.nn.experts.balance import balance_loss, router_scores
from tessera.nn.experts.grouped import expert_rows, grouped_product
from tessera.nn.experts.mixture import Mixture
from tessera.nn.experts.routing import choose_experts

WIDTH, INNER, COUNT = 16, 8, 6
FORMS = (
    {"shares": "all_normalised"},
    {"shares": "all"},
    {"shares": "chosen", "gate": "clamped", "bias": True, "limit": 0.7},
)


def _mixture(**fields: object) -> Mixture:
    torch.manual_seed(2)
    config = ExpertsConfig.model_validate({"count": COUNT, "top_k": 2, "intermediate_size": INNER} | fields)
    made = config.build(WIDTH)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.6)
    return made


def _slowly(mixture: Mixture, x: torch.Tensor, config: dict[str, object]) -> torch.Tensor:
    """A token after the other, by the definition."""
    first, last = mixture.experts.gate_up_proj, mixture.experts.down_proj
    rows = []
    for token in x:
        scores = F.linear(token, mixture.router.weight, mixture.router.bias)
        best = scores.argsort(descending=True)[:2]
        shares = scores.softmax(0)[best]
        if config["shares"] == "chosen":
            shares = scores[best].softmax(0)
        if config["shares"] == "all_normalised":
            shares = shares / shares.sum()
        total = torch.zeros_like(token)
        for expert, share in zip(best.tolist(), shares, strict=True):
            up, down = (
                slice(2 * INNER * expert, 2 * INNER * (expert + 1)),
                slice(WIDTH * expert, WIDTH * (expert + 1)),
            )
            bias = first.bias is not None
            both = F.linear(token, first.weight[up], first.bias[up] if bias else None)
            if bias:
                gate, lift = both[::2].clamp(max=0.7), both[1::2].clamp(-0.7, 0.7)
                inner = (lift + 1) * gate * torch.sigmoid(1.702 * gate)
            else:
                inner = F.silu(both[:INNER]) * both[INNER:]
            total = total + share * F.linear(inner, last.weight[down], last.bias[down] if bias else None)
        rows.append(total)
    return torch.stack(rows)


@pytest.mark.parametrize("form", FORMS)
def test_values_and_gradients_are_those_of_a_loop_over_tokens(form: dict[str, object]) -> None:
    ours, theirs = _mixture(**form), _mixture(**form)
    x, y = (
        torch.randn(9, WIDTH, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2)
    )
    got, expected = ours(x), _slowly(theirs, y, form)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    weight = torch.randn(9, WIDTH)
    (got * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-5)
    for (name, one), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_an_expert_without_rows_is_not_read() -> None:
    mixture = _mixture()
    chosen = torch.tensor([[0, 3], [3, 0]])
    with torch.no_grad():
        for expert in (1, 2, 4, 5):
            mixture.experts.gate_up_proj.weight[2 * INNER * expert : 2 * INNER * (expert + 1)] = float("nan")
        out = mixture.experts(torch.randn(2, WIDTH), chosen, torch.full((2, 2), 0.5))
    assert out.isfinite().all()


def test_the_grouped_product_is_the_loop() -> None:
    """What CUDA takes in one call, here through PyTorch's own CPU form of it."""
    mixture = _mixture(gate="clamped", bias=True, shares="chosen")
    counts = torch.tensor([2, 0, 3, 1, 0, 2])
    rows, ends = torch.randn(8, WIDTH), counts.cumsum(0).int()
    stacks = (mixture.experts.gate_up_proj, mixture.experts.down_proj)
    with torch.no_grad():
        inner = mixture.experts.gate(grouped_product(rows, stacks[0], counts, ends))
        whole = grouped_product(inner, stacks[1], counts, ends)
        loop = expert_rows(rows, counts, stacks, mixture.experts.gate, mixture.experts._cuts)
    torch.testing.assert_close(whole, loop, rtol=1e-5, atol=1e-5)


def test_no_token_gives_no_token() -> None:
    assert _mixture()(torch.empty(0, WIDTH)).shape == (0, WIDTH)


def test_quantised_stacks_let_gradients_through_and_survive_a_copy() -> None:
    mixture = _mixture()
    for name in ("gate_up_proj", "down_proj"):
        stack = getattr(mixture.experts, name)
        setattr(mixture.experts, name, quantise(stack.weight).linear(None))
    x = torch.randn(5, WIDTH, requires_grad=True)
    mixture(x).square().sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    with torch.no_grad():
        torch.testing.assert_close(copy.deepcopy(mixture)(x), mixture(x))


def test_router_is_float32_in_bfloat16() -> None:
    mixture = _mixture().bfloat16()
    assert mixture.router(torch.randn(3, WIDTH).bfloat16()).dtype == torch.float32
    assert mixture(torch.randn(3, WIDTH).bfloat16()).dtype == torch.bfloat16


def test_shares_of_a_choice() -> None:
    scores = torch.tensor([[0.0, 2.0, 1.0]])
    chosen = choose_experts(scores, 2, "chosen")
    assert chosen.experts.tolist() == [[1, 2]] and float(chosen.shares.sum()) == pytest.approx(1.0)
    every = choose_experts(scores, 2, "all").shares.sum()
    assert float(every) == pytest.approx(float(scores.softmax(-1)[0, 1:].sum()))


def test_balance_loss_is_transformers_with_and_without_padding() -> None:
    generator = torch.Generator().manual_seed(4)
    scores = [torch.randn(7, COUNT, generator=generator) for _ in range(3)]
    expected = load_balancing_loss_func(tuple(scores), COUNT, 2)
    torch.testing.assert_close(balance_loss(scores, 2), expected)
    kept = torch.tensor([1, 1, 1, 0, 1, 1, 0])
    masked = load_balancing_loss_func(tuple(scores), COUNT, 2, kept[None])
    torch.testing.assert_close(balance_loss(scores, 2, kept.bool()), masked)


def test_routers_are_heard_only_inside() -> None:
    mixture = _mixture()
    with router_scores(mixture) as heard:
        mixture(torch.randn(4, WIDTH))
    mixture(torch.randn(4, WIDTH))
    assert [each.shape for each in heard] == [(4, COUNT)]
