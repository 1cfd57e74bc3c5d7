"""Two forms of a model side by side: scores of a given answer, and what single layers in few bits change.

No cache and one prompt at a time, as in `reference`; `evaluation.drift` adds up.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from tessera.chat.positions import v2pe_positions
from tessera.engine.chat_model import ChatModel, Prompt
from tessera.nn.attention.layout import Packed
from tessera.nn.quantised import QuantisedLinear

LayerPairs = Mapping[str, tuple[nn.Module, QuantisedLinear]]
"""Own name of a linear -> what it is in the first model, and in few bits in the second."""


@torch.inference_mode()
def forced_scores(model: ChatModel, prompt: Prompt, answer: Sequence[int]) -> torch.Tensor:
    """Log-probabilities float32 [len(answer) + 1, V], on the CPU, of each token of an answer (ids without the
    one that ends it) and of what follows, when the answer's own tokens are fed."""
    vlm = model.loaded.model
    asked = torch.from_numpy(prompt.encoded.ids).long()
    ids = torch.cat((asked, torch.tensor(answer, dtype=torch.int64)))
    positions = v2pe_positions(ids.numpy(), vlm.config.image_token_id, prompt.visual_increment)
    tiles = torch.from_numpy(prompt.encoded.tiles) if len(prompt.encoded.tiles) else None
    rows = torch.arange(len(asked) - 1, len(ids), device=vlm.decoder.embed_tokens.weight.device)
    sounds = prompt.encoded.sounds
    hidden = vlm(ids, Packed((len(ids),)), torch.from_numpy(positions), tiles, rows=rows, sounds=sounds)
    return vlm.logits(hidden).float().log_softmax(-1).cpu()


def few_bit_pairs(before: ChatModel, after: ChatModel) -> LayerPairs:
    """Every linear that the second model keeps in few bits, and the first not in the same."""
    first = dict(before.loaded.model.named_modules())
    return {
        name: (first[name], module)
        for name, module in after.loaded.model.named_modules()
        if isinstance(module, QuantisedLinear) and not _keeps_the_same(first[name], module)
    }


def _keeps_the_same(first: nn.Module, second: QuantisedLinear) -> bool:
    if not isinstance(first, QuantisedLinear) or type(first) is not type(second):
        return False
    return torch.equal(first.weight, second.weight) and torch.equal(first.scale, second.scale)


def weight_error(pair: tuple[nn.Module, QuantisedLinear]) -> float:
    """Norm of a weight's change over that of the weight."""
    given = pair[0].dense() if isinstance(pair[0], QuantisedLinear) else pair[0].weight
    assert isinstance(given, torch.Tensor), "a linear layer"
    wanted = given.detach().float()
    return float((pair[1].dense() - wanted).norm() / wanted.norm())


def by_block(names: Sequence[str]) -> dict[str, list[str]]:
    """Linears by the block that they stand in, such as `decoder.layers.0`; others stand for themselves."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        block = re.match(r".*?\.\d+(?=\.)", name)
        found[block[0] if block else name].append(name)
    return dict(found)


class LayerWatch:
    """While it is open, what the first model's linears are given goes through both of a pair.

    `errors()`: norm of the difference of the results over that of the first, over all that was given.
    """

    def __init__(self, pairs: LayerPairs) -> None:
        self._pairs = pairs
        self._sums = {name: torch.zeros(2, dtype=torch.float64) for name in pairs}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> LayerWatch:
        for name, (first, _) in self._pairs.items():
            self._hooks.append(first.register_forward_pre_hook(partial(self._seen, name)))
        return self

    def __exit__(self, *error: object) -> None:
        while self._hooks:
            self._hooks.pop().remove()

    def _seen(self, name: str, module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        # `forward` itself, without an activation that is fused into the call and without hooks.
        wanted, found = module.forward(given[0]).double(), self._pairs[name][1](given[0]).double()
        self._sums[name] += torch.stack(((found - wanted).square().sum(), wanted.square().sum())).cpu()

    def errors(self) -> dict[str, float]:
        """By own name; 0 where nothing but zeros came by."""
        return {
            name: float((off / whole.clamp_min(1e-300)).sqrt()) for name, (off, whole) in self._sums.items()
        }


@contextmanager
def swapped(model: ChatModel, pairs: LayerPairs, names: Sequence[str]) -> Iterator[None]:
    """The first model with these linears of the second."""
    vlm = model.loaded.model
    try:
        for name in names:
            vlm.set_submodule(name, pairs[name][1])
        yield
    finally:
        for name in names:
            vlm.set_submodule(name, pairs[name][0])
