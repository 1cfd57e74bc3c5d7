"""Learned queries of link tokens, and projections of their last states: `links.*` of a model's weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tessera.models.links.config import LinkConfig
from tessera.models.links.masks import MaskDecoder


class LinkParts(nn.Module):
    """Queries float [Q, D] of all tokens in their order, and what makes of states what a decoder takes.

    width: D of the language model. rows: those of its vocabulary; slots are numbered on from there.
    vision_width: channels of the ViT's states, for the mask decoder.
    """

    def __init__(self, config: LinkConfig, width: int, rows: int, vision_width: int) -> None:
        super().__init__()
        self.config, self.first = config, rows
        self.queries = nn.Parameter(torch.empty(config.queries, width))
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, link.width))
            for link in config.tokens
        )
        self.masks: MaskDecoder | None = None
        if config.masks is not None:
            self.masks = MaskDecoder(config.masks, vision_width)

    def embed(self, words: Callable[[torch.Tensor], torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
        """Ids and slots int64 [T] to [T, D]. words: embeds ids."""
        slots = ids >= self.first
        embedded = words(ids.masked_fill(slots, 0))
        places = (ids - self.first).clamp(min=0).to(embedded.device)
        queries = self.queries.to(embedded)[places]
        return torch.where(slots[:, None].to(embedded.device), queries, embedded)

    def project(self, number: int, states: torch.Tensor) -> torch.Tensor:
        """Last states [..., N, D] of the queries of token `number` to [..., N, W]."""
        out: torch.Tensor = self.projections[number](states.to(self.queries))
        return out

    def number(self, token: str) -> int:
        """Place of a token in the declaration. ValueError for one that is not there."""
        names = [link.token for link in self.config.tokens]
        if token not in names:
            raise ValueError(f"links: {token!r} is not declared; there are {', '.join(names)}")
        return names.index(token)
