"""QLLaMA: LLaMA blocks, in some of which learned queries read a picture (docs/facts/pair.md).

`S` query sets of `Q` queries each stand at the head of the stream; texts follow. Texts never meet the picture
but through the queries that they see.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from tessera.models.decoder import DecoderAttention, Tables
from tessera.models.pair.config import PairConfig
from tessera.nn.attention.api import attend_across
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Layout
from tessera.nn.mlp import GatedMLP
from tessera.nn.norm import RMSNorm
from tessera.nn.recompute import Recompute, run_block
from tessera.nn.rope import rotary_tables


class Sight(NamedTuple):
    """What the queries of a stream read: states [N, P, Dv] of N pictures, and the query sets, S of Q queries.

    Set s reads picture s % N, so sets of one picture stand N apart.
    """

    states: torch.Tensor
    sets: int
    queries: int


class QueryReading(nn.Module):
    """Cross-attention from queries to a picture's states, a norm before each; no positions, no biases."""

    def __init__(self, config: PairConfig) -> None:
        super().__init__()
        text = config.qllama
        inner = text.num_attention_heads * text.head_width
        self.heads = text.num_attention_heads
        self.q_proj = nn.Linear(text.hidden_size, inner, bias=False)
        self.o_proj = nn.Linear(inner, text.hidden_size, bias=False)
        self.norm1 = RMSNorm(text.hidden_size, text.rms_norm_eps)
        self.k_proj = nn.Linear(config.vision.hidden_size, inner, bias=False)
        self.v_proj = nn.Linear(config.vision.hidden_size, inner, bias=False)
        self.norm2 = RMSNorm(config.vision.hidden_size, text.rms_norm_eps)

    def forward(self, queries: torch.Tensor, sight: Sight) -> torch.Tensor:
        """Queries [S * Q, D] to [S * Q, D]; keys and values of a picture are made once for all its sets."""
        count = len(sight.states)
        asked = self.q_proj(self.norm1(queries)).view(-1, count, sight.queries, self.heads, self._width)
        read = self.norm2(sight.states)
        key, value = (
            project(read).flatten(0, 1).unflatten(-1, (self.heads, -1))  # [N * P, H, C]
            for project in (self.k_proj, self.v_proj)
        )
        by_picture = asked.transpose(0, 1).flatten(0, 2)  # [N * sets of it * Q, H, C]
        found = attend_across(by_picture, key, value, count).view(count, -1, sight.queries, self._inner)
        out: torch.Tensor = self.o_proj(found.transpose(0, 1).flatten(0, 2))
        return out

    @property
    def _inner(self) -> int:
        return self.q_proj.out_features

    @property
    def _width(self) -> int:
        return self._inner // self.heads


class QllamaBlock(nn.Module):
    """Self-attention over the stream, in some layers the queries' look at the picture, gated MLP."""

    def __init__(self, config: PairConfig, layer: int) -> None:
        super().__init__()
        text = config.qllama
        self.self_attn = DecoderAttention(text, layer)
        self.cross_attn = QueryReading(config) if config.crosses(layer) else None
        self.mlp = GatedMLP(text.hidden_size, text.intermediate_size)
        self.input_layernorm = RMSNorm(text.hidden_size, text.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(text.hidden_size, text.rms_norm_eps)

    def forward(
        self, x: torch.Tensor, tables: Tables, layout: Layout, cache: KVCache | None, sight: Sight | None
    ) -> torch.Tensor:
        """[T, D] to [T, D]."""
        x = x + self.self_attn(self.input_layernorm(x), tables, layout, cache)
        if self.cross_attn is not None and sight is not None:
            queries, texts = x.split((sight.sets * sight.queries, len(x) - sight.sets * sight.queries))
            x = torch.cat((queries + self.cross_attn(queries, sight), texts))
        out: torch.Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Qllama(nn.Module):
    """Embeddings, blocks, last norm and head."""

    def __init__(self, config: PairConfig) -> None:
        super().__init__()
        text = config.qllama
        self.config = text
        self.recompute: Recompute = "none"
        self.embed_tokens = nn.Embedding(text.vocab_size, text.hidden_size)
        self.layers = nn.ModuleList(QllamaBlock(config, number) for number in range(text.num_hidden_layers))
        self.norm = RMSNorm(text.hidden_size, text.rms_norm_eps)
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids int64 [T], on any device, to [T, D]."""
        out: torch.Tensor = self.embed_tokens(ids.to(self.embed_tokens.weight.device))
        return out

    def forward(
        self, x: torch.Tensor, layout: Layout, sight: Sight | None = None, cache: KVCache | None = None
    ) -> torch.Tensor:
        """The stream [T, D], query sets first where there are any, to final states [T, D]."""
        if layout.total != len(x):
            raise ValueError(f"layout covers {layout.total} tokens but the stream has {len(x)}")
        positions = layout.positions(x.device)
        tables = rotary_tables(positions, self.config.head_width, self.config.rope_theta)
        turned = tables[0].to(x.dtype), tables[1].to(x.dtype)
        for block in self.layers:
            x = run_block(block, self.recompute, x, turned, layout, cache, sight)
        out: torch.Tensor = self.norm(x)
        return out

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., D] to [..., V]."""
        out: torch.Tensor = self.lm_head(hidden)
        return out
