"""The language model of every chat model in the series, by config, on a flat stream of tokens: LLaMA-2/3, Yi,
InternLM2/2.5/3, Qwen2/2.5/3 and Phi-3 differ in biases, QK-norm and rotary scaling alone
(docs/facts/models.md); Qwen3-MoE and GPT-OSS in experts, sinks and windows, too (docs/facts/moe.md).

`T` tokens in the stream, `D` width, `H` heads, `K` key-value heads, `C` head width, `V` vocabulary.
"""

from typing import cast

import torch
from torch import nn

from tessera.models.config import DecoderConfig
from tessera.models.routing import Routes, routed
from tessera.nn.attention.api import Attend
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Layout
from tessera.nn.decoding import BlockParts, newest_tokens
from tessera.nn.experts.mixture import Mixture
from tessera.nn.mlp import GatedMLP
from tessera.nn.norm import RMSNorm
from tessera.nn.recompute import Recompute, run_block
from tessera.nn.rope import rotary_tables, rotate

Tables = tuple[torch.Tensor, torch.Tensor]


def choose(x: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    """The rows int64 [R] of x [T, ...]; None takes all."""
    return x if rows is None else x.index_select(0, rows)


class Projections(nn.Module):
    """From states to queries, keys and values, and back from heads."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width, queries = config.hidden_size, config.num_attention_heads * config.head_width
        groups = config.num_key_value_heads * config.head_width
        self.q_proj = nn.Linear(width, queries, bias=config.attention_bias)
        self.k_proj = nn.Linear(width, groups, bias=config.attention_bias)
        self.v_proj = nn.Linear(width, groups, bias=config.attention_bias)
        self.o_proj = nn.Linear(queries, width, bias=config.attention_output_bias)


class DecoderAttention(Projections):
    """Grouped-query attention with rotary positions, and in Qwen3 an RMS norm of each head before them.

    `visual` projects tokens of pictures, where they have projections of their own.
    """

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__(config)
        self.head_width = config.head_width
        self.visual = Projections(config) if config.visual_attention else None
        self.attend = Attend(layer, config.window_of(layer))
        self.sinks = nn.Parameter(torch.zeros(config.num_attention_heads)) if config.attention_sinks else None
        self.qk_norm = config.qk_norm
        if self.qk_norm:
            self.q_norm = RMSNorm(self.head_width, config.rms_norm_eps)
            self.k_norm = RMSNorm(self.head_width, config.rms_norm_eps)

    def forward(
        self,
        x: torch.Tensor,
        tables: Tables,
        layout: Layout,
        cache: KVCache | None = None,
        rows: torch.Tensor | None = None,
        routes: Routes | None = None,
    ) -> torch.Tensor:
        """[T, D] to [T, D], or to [R, D] of the given rows alone."""
        if routes is not None and self.visual is not None:
            return self._routed(x, self.visual, routes, tables, layout, cache, rows)
        query = self._heads(self.q_proj(choose(x, rows)))  # [R or T, H, C]
        key, value = self._heads(self.k_proj(x)), self._heads(self.v_proj(x))  # [T, K, C]
        result: torch.Tensor = self.o_proj(self._attended(query, key, value, tables, layout, cache, rows))
        return result

    def _routed(
        self,
        x: torch.Tensor,
        visual: Projections,
        routes: Routes,
        tables: Tables,
        layout: Layout,
        cache: KVCache | None,
        rows: torch.Tensor | None,
    ) -> torch.Tensor:
        """The same with tokens of pictures through projections of their own."""
        asked, every = routes.of_rows(rows), routes.tokens
        query = self._heads(routed(choose(x, rows), asked, self.q_proj, visual.q_proj))
        key = self._heads(routed(x, every, self.k_proj, visual.k_proj))
        value = self._heads(routed(x, every, self.v_proj, visual.v_proj))
        out = self._attended(query, key, value, tables, layout, cache, rows)
        return routed(out, asked, self.o_proj, visual.o_proj)

    def _attended(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        tables: Tables,
        layout: Layout,
        cache: KVCache | None,
        rows: torch.Tensor | None,
    ) -> torch.Tensor:
        """What the heads saw, side by side, [R or T, H * C]."""
        if self.qk_norm:
            query, key = self.q_norm(query), self.k_norm(key)
        query = rotate(query, *(choose(table, rows) for table in tables))
        seen: torch.Tensor = self.attend(query, rotate(key, *tables), value, layout, cache, rows, self.sinks)
        return seen.flatten(1)

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (-1, self.head_width))


class DecoderBlock(nn.Module):
    """Pre-norm attention, and a gated MLP or experts; with visual experts a second MLP, for tokens of
    pictures."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = DecoderAttention(config, layer)
        self.mlp = _feed_forward(config, layer)
        self.mlp_visual = GatedMLP(width, config.intermediate_size) if config.visual_experts else None
        self.input_layernorm = RMSNorm(width, eps)
        self.post_attention_layernorm = RMSNorm(width, eps)

    def forward(
        self,
        x: torch.Tensor,
        tables: Tables,
        layout: Layout,
        cache: KVCache | None = None,
        rows: torch.Tensor | None = None,
        routes: Routes | None = None,
    ) -> torch.Tensor:
        """[T, D] to [T, D], or to [R, D] of the given rows alone. `routes`: which tokens are of pictures."""
        some = routes is not None or (rows is not None and len(rows) < len(x))
        done = None if some else self._at_once(x, tables, layout, cache)
        if done is not None:
            return done
        x = choose(x, rows) + self.self_attn(self.input_layernorm(x), tables, layout, cache, rows, routes)
        asked = None if routes is None else routes.of_rows(rows)
        return x + routed(self.post_attention_layernorm(x), asked, self.mlp, self.mlp_visual)

    def _at_once(
        self, x: torch.Tensor, tables: Tables, layout: Layout, cache: KVCache | None
    ) -> torch.Tensor | None:
        """The same in one call, for the newest tokens of text on a CPU; None elsewhere."""
        if cache is None or len(x) != len(layout.lengths) or (parts := self.parts) is None:
            return None
        return newest_tokens(parts, x, tables, layout, cache, self.self_attn.attend.layer)

    @property
    def parts(self) -> BlockParts | None:
        """What it is made of, for those who compute it at once; None for experts, windows and sinks."""
        attention, mlp = self.self_attn, self.mlp
        limited = attention.attend.window is not None or attention.sinks is not None
        if limited or not isinstance(mlp, GatedMLP):
            return None
        return BlockParts(
            (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
            + (mlp.gate_proj, mlp.up_proj, mlp.down_proj),
            (self.input_layernorm, self.post_attention_layernorm),
            (attention.q_norm, attention.k_norm) if attention.qk_norm else None,
        )


def _feed_forward(config: DecoderConfig, layer: int) -> GatedMLP | Mixture:
    if config.experts is not None and config.experts.in_layer(layer):
        return config.experts.build(config.hidden_size)
    return GatedMLP(config.hidden_size, config.intermediate_size)


class Decoder(nn.Module):
    """Embeddings, blocks, final norm and head. Hidden states and logits are separate calls on purpose:
    training asks for logits of supervised tokens only, generation for the last token only.

    Beyond the trained length, dynamic NTK and longrope turn a token by how far its sequence reaches: in this
    call, that is to its last position (positions ascend within a sequence), unless the caller knows more;
    neighbours and earlier calls have no part in it. Cached keys keep the angles that they were written with,
    so an answer made with a cache differs a little from one without, as it does in transformers, whose
    dynamic NTK also remembers the longest sequence beyond the trained length until a short one comes. The
    engine fills the cache of a longrope sequence anew where it crosses the trained length, as transformers
    does for Phi-3.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.scaling = config.rotary_scaling
        self.recompute: Recompute = "none"
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderBlock(config, i) for i in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids int64 [T], on any device, to [T, D]."""
        out: torch.Tensor = self.embed_tokens(ids.to(self.embed_tokens.weight.device))
        return out

    def forward(
        self,
        embeddings: torch.Tensor,
        layout: Layout,
        positions: torch.Tensor | None = None,
        cache: KVCache | None = None,
        rows: torch.Tensor | None = None,
        reach: torch.Tensor | None = None,
        visual: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Embeddings [T, D] to final hidden states [T, D]; positions float [T] default to the layout's.

        `reach` float [T]: how far, in positions, the sequence of each token counts as reaching. A prompt that
        comes in pieces needs it; None takes the sequences of this call.

        `rows` int64 [R], ascending, names the only states that are wanted, [R, D]: the last block computes
        keys and values for all tokens and everything else for these alone.

        `visual` bool [T], on any device: the tokens of pictures, which visual experts take; None for none.

        Blocks may lie on several devices: states and tables move where the next block's `input_layernorm`
        lies, which is where the cache's pages of that block must lie, and leave on the device of `norm`.
        """
        if layout.total != len(embeddings):
            raise ValueError(f"layout covers {layout.total} tokens but the stream has {len(embeddings)}")
        if positions is None:
            positions = layout.positions(embeddings.device)
        tables = self._tables(positions.to(embeddings.device), layout, embeddings.dtype, reach)
        routes = None if visual is None or not self.routes else Routes.of(visual, rows, embeddings.device)
        # Each device gets its tables and routes once, however often x comes by.
        copies = {embeddings.device: (tables, routes)}
        x = embeddings
        last = len(self.layers) - 1
        for number, (layer, device) in enumerate(zip(self.layers, self.layer_devices, strict=True)):
            if device != x.device:
                x = x.to(device)
                if device not in copies:
                    moved = (tables[0].to(device), tables[1].to(device))
                    copies[device] = (moved, routes and routes.to(device))
            wanted = rows.to(device) if rows is not None and number == last else None
            there, routed_there = copies[device]
            x = run_block(layer, self.recompute, x, there, layout, cache, wanted, routed_there)
        out: torch.Tensor = self.norm(x.to(self.norm.weight.device))
        return out

    def _tables(
        self, positions: torch.Tensor, layout: Layout, dtype: torch.dtype, reach: torch.Tensor | None
    ) -> Tables:
        if reach is not None:
            reach = reach.to(positions.device)
        elif self.scaling is not None and self.scaling.needs_reach:
            lengths = torch.tensor(layout.lengths, device=positions.device)
            reach = positions[layout.ends(positions.device)] + 1
            reach = reach.repeat_interleave(lengths, output_size=len(positions))
        width, theta = self.config.head_width, self.config.rope_theta
        cosine, sine = rotary_tables(positions, width, theta, self.scaling, reach)
        return cosine.to(dtype), sine.to(dtype)  # once, not in every block

    @property
    def routes(self) -> bool:
        """Whether tokens of pictures take a way of their own, so that `visual` matters."""
        return self.config.visual_experts

    @property
    def layer_devices(self) -> tuple[torch.device, ...]:
        """Where each block lies."""
        return tuple(block.input_layernorm.weight.device for block in cast(list[DecoderBlock], self.layers))

    @property
    def parts(self) -> list[BlockParts]:
        """What each block is made of; nothing where one has experts, a window or sinks."""
        found = [block.parts for block in cast(list[DecoderBlock], self.layers)]
        return [] if None in found else cast(list[BlockParts], found)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., D] to [..., V]."""
        out: torch.Tensor = self.lm_head(hidden)
        return out
