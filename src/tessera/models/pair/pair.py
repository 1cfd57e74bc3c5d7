"""The whole pair: pictures and texts to vectors of one space, and the states that captions come from."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from tessera.models.pair.config import PairConfig
from tessera.models.pair.pooling import AttentionPooling
from tessera.models.pair.qllama import Qllama, Sight
from tessera.models.vision.internvit import VisionTransformer
from tessera.models.vlm import normalise
from tessera.nn.attention.layout import Layout, Packed

Mode = Literal["c", "g"]
MODES: tuple[Mode, ...] = ("c", "g")
"""InternVL-C: the ViT alone. InternVL-G: the sum of both unit vectors, the ViT's and the queries'."""
TEMPERATURE = 0.07
"""With which training starts: `logit_scale` is the log of its inverse."""


class QllamaPair(nn.Module):
    """Names of parts follow the released files, but for the ViT's."""

    def __init__(self, config: PairConfig) -> None:
        super().__init__()
        self.config = config
        sight, width, space = config.vision.hidden_size, config.qllama.hidden_size, config.clip_embed_dim
        self.vision = VisionTransformer(config.vision)
        self.qllama = Qllama(config)
        self.query_tokens = nn.Parameter(torch.zeros(1, config.num_query_token, width))
        self.text_projection = nn.Parameter(torch.empty(width, space).normal_(0, width**-0.5))
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))
        self.clip_projector = AttentionPooling(sight, config.attn_pool_num_heads, space)
        self.clip_projector2 = AttentionPooling(width, config.attn_pool_num_heads, space)
        self.itm_head = nn.Linear(width, 2)

    def look(self, tiles: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """uint8 tiles [N, S, S, 3], on any device, to the ViT's last states [N, 1 + P, D]; of the patches
        `kept` int64 [N, K] alone where they are given."""
        like = self.vision.like
        pixels = normalise(tiles.to(like.device), self.config.mean, self.config.std, like.dtype)
        here = None if kept is None else kept.to(like.device)
        return self.vision.states(pixels, (-1,), here)[0]

    def queries(self, sets: int) -> torch.Tensor:
        """The head of a stream of so many query sets, [sets * Q, D]."""
        return self.query_tokens.expand(sets, -1, -1).flatten(0, 1)

    def read(self, states: torch.Tensor) -> torch.Tensor:
        """Pictures' states [N, P, Dv] to their queries' last states [N, Q, D], without any text."""
        count, each = len(states), self.config.num_query_token
        layout = Packed((each,) * count, causal=False)
        read: torch.Tensor = self.qllama(self.queries(count), layout, Sight(states, count, each))
        return read.unflatten(0, (count, each))

    def project_images(self, states: torch.Tensor, mode: Mode = "c") -> torch.Tensor:
        """The ViT's states [N, P, Dv] to [N, W]: of the head for "c", a sum of two unit rows for "g"."""
        seen: torch.Tensor = self.clip_projector(states)
        if mode == "c":
            return seen
        read: torch.Tensor = self.clip_projector2(self.read(states))
        return F.normalize(read, dim=-1) + F.normalize(seen, dim=-1)

    def project_texts(self, ids: torch.Tensor, layout: Layout) -> torch.Tensor:
        """Texts laid end to end, ids int64 [T] from bos to eos, to [B, W] by their last tokens."""
        hidden = self.qllama(self.qllama.embed(ids), layout)
        return self.project_states(hidden.index_select(0, layout.ends(hidden.device)))

    def project_states(self, last: torch.Tensor) -> torch.Tensor:
        """States [B, D] of texts' last tokens to [B, W]."""
        return last @ self.text_projection

    def scale(self) -> torch.Tensor:
        """What products of unit rows are multiplied by."""
        return self.logit_scale.exp()
