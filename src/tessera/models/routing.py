"""Tokens of a stream to one of two modules: pictures to visual experts, all else to those of text.

Rows are sorted once a stream and every module sees the rows of its own alone, so a token costs what it costs
in a model without experts (Mono-InternVL, arXiv 2410.08202; the released code evaluates both on all tokens).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from torch import nn


class TokenSplit(NamedTuple):
    """Rows int64 of the text and of the pictures, and the place [T] of each row behind text and pictures."""

    text: torch.Tensor
    visual: torch.Tensor
    back: torch.Tensor

    @classmethod
    def of(cls, visual: torch.Tensor, device: torch.device) -> TokenSplit:
        """By a mask bool [T]; on a host it is sorted without waiting for `device`, where the rows go."""
        rows, pictures = (~visual).nonzero()[:, 0], visual.nonzero()[:, 0]
        back = torch.empty(len(visual), dtype=torch.int64, device=visual.device)
        back[torch.cat((rows, pictures))] = torch.arange(len(visual), device=visual.device)
        return cls(rows.to(device), pictures.to(device), back.to(device))


class Routes(NamedTuple):
    """How a stream is split, and how those of its rows are that the last block is asked for; None: all of
    them are text."""

    tokens: TokenSplit | None
    asked: TokenSplit | None

    @classmethod
    def of(cls, visual: torch.Tensor, rows: torch.Tensor | None, device: torch.device) -> Routes | None:
        """By a mask bool [T] and the rows int64 [R] that are asked for, None for all. None where text is all
        there is; with gradients that is a split, too, so that experts without rows get theirs."""
        learns = torch.is_grad_enabled()
        tokens = TokenSplit.of(visual, device) if learns or bool(visual.any()) else None
        if tokens is None or rows is None:
            return tokens and cls(tokens, tokens)
        # Rows without values, where memory is planned, ask at text.
        asked = visual.new_zeros(len(rows)) if rows.is_meta else visual[rows.to(visual.device)]
        return cls(tokens, TokenSplit.of(asked, device) if learns or bool(asked.any()) else None)

    def of_rows(self, rows: torch.Tensor | None) -> TokenSplit | None:
        """Of what a block computes: `rows`, or all for None."""
        return self.tokens if rows is None else self.asked

    def to(self, device: torch.device) -> Routes:
        """The same on another device."""
        moved = (split and TokenSplit(*(rows.to(device) for rows in split)) for split in self)
        return Routes(*moved)


def routed(
    x: torch.Tensor, split: TokenSplit | None, text: nn.Module, visual: nn.Module | None
) -> torch.Tensor:
    """x [T, D] to [T, E], each row by the one module that it belongs to; all by `text` without a split.

    A trained module without rows takes part with a zero: where weights are spread over processes, all of
    them add up its gradient.
    """
    if split is None or visual is None:
        whole: torch.Tensor = text(x)
        return whole
    owned = ((split.text, text), (split.visual, visual))
    parts = [module(x.index_select(0, rows)) for rows, module in owned if len(rows)]
    out = parts[0] if len(parts) == 1 else torch.cat(parts).index_select(0, split.back)
    for rows, module in owned:
        if not len(rows) and torch.is_grad_enabled() and _is_trained(module):
            out = out + 0.0 * module(x[:1]).sum()
    return out


def is_visual(name: str) -> bool:
    """Whether a weight or a module of this name is for tokens of pictures alone."""
    return re.search(r"\.(mlp_visual|self_attn\.visual)\.", name) is not None


def visual_twin(name: str) -> str:
    """Of what text meets, the name of what tokens of pictures meet in its place, where they do."""
    name = name.replace(".mlp.", ".mlp_visual.")
    return re.sub(r"\.self_attn\.(._proj\.)", r".self_attn.visual.\1", name)


def _is_trained(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
