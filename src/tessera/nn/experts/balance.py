"""The loss that keeps experts equally busy (Switch Transformer, arXiv 2101.03961, equations 4 to 6)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from tessera.nn.experts.routing import Router


@contextmanager
def router_scores(model: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Inside, the list takes what every router says of its tokens, float32 [T, E], layer by layer.

    Leave it before the backward pass: blocks that compute again would be heard twice.
    """
    heard: list[torch.Tensor] = []
    routers = [module for module in model.modules() if isinstance(module, Router)]
    handles = [router.register_forward_hook(lambda _, __, out: heard.append(out)) for router in routers]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def balance_loss(
    scores: Sequence[torch.Tensor], top_k: int, counted: torch.Tensor | None = None
) -> torch.Tensor:
    """E times the sum over experts of the share of tokens that they get and their mean probability: float32.

    scores [T, E] of each layer; both means are over the tokens of all layers, as in transformers. counted
    bool [T]: tokens that count, None for all; padding does not. An even choice of k experts gives k.
    """
    device, experts = scores[0].device, scores[0].shape[-1]
    taken, probability = (torch.zeros(experts, device=device) for _ in range(2))
    rows = 0.0
    for each in scores:
        each = (each if counted is None else each[counted.to(each.device)]).to(device)
        chance = each.softmax(-1)
        best = chance.detach().topk(top_k, dim=-1).indices
        taken = taken + torch.bincount(best.flatten(), minlength=experts)
        probability = probability + chance.sum(0)
        rows += len(each)
    return experts * (taken / rows * (probability / rows)).sum()
