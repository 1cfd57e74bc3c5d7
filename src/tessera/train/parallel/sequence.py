"""The tokens of one pack shared by several processes in the decoder, from outside, by hooks on its modules.

A block computes on some of the tokens; attention on all of them, with some of the heads: queries, keys and
values are exchanged before it, its result after it (DeepSpeed-Ulysses, arXiv 2309.14509). So packs of any
layout stay exact. PyTorch's own context parallelism knows no layout of packed sequences. The last block,
which may compute a few rows alone, embeddings, ViT and head see all tokens on every process.

Each process computes the loss of the whole pack and counts its share of it. Gradients are summed over all.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from tessera.models.decoder import Decoder
from tessera.models.routing import Routes, TokenSplit
from tessera.train.parallel.heads import require_shares


def share_tokens(decoder: Decoder, mesh: DeviceMesh) -> None:
    """Hook a decoder in place. ValueError when its heads don't divide, or when it has one block."""
    require_shares("sequence", mesh.size(), decoder.config)
    if len(decoder.layers) < 2:
        raise ValueError(f"parallel.sequence = {mesh.size()}: the decoder has one block; leave it 1")
    exchange = _Exchange(mesh.get_group(), mesh.size(), mesh.get_local_rank())
    *shared, last = decoder.layers
    shared[0].register_forward_pre_hook(exchange.scatter)
    last.register_forward_pre_hook(exchange.gather)
    for block in shared:
        if decoder.routes:
            block.register_forward_pre_hook(exchange.route)
        for name in ("q_proj", "k_proj", "v_proj"):
            block.get_submodule(f"self_attn.{name}").register_forward_hook(exchange.to_heads)
        block.get_submodule("self_attn.o_proj").register_forward_pre_hook(exchange.to_tokens)


class _Exchange:
    """Hooks of one decoder. The tokens of a stream are filled up to `size` equal parts."""

    def __init__(self, group: dist.ProcessGroup, size: int, rank: int) -> None:
        self.group, self.size, self.rank = group, size, rank
        self._total = 0
        """Tokens of the stream whose forward and backward pass run."""
        self._routes: tuple[Routes, Routes] | None = None
        """Those of the stream, and what this process has of them."""

    def scatter(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Of x [T, D] this process's tokens, [t, D]."""
        x, *others = args
        self._total = len(x)
        share = -(-len(x) // self.size)
        return _filled(x, share * self.size)[share * self.rank :][:share], *others

    def route(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Which of this process's tokens are of pictures, instead of the stream's."""
        *others, routes = args
        if routes is None:
            return args
        if self._routes is None or self._routes[0] is not routes:
            device, share = routes.tokens.back.device, -(-self._total // self.size)
            visual = torch.zeros(share * self.size, dtype=torch.bool, device=device)
            visual[routes.tokens.visual] = True
            own = TokenSplit.of(visual[share * self.rank :][:share], device)
            self._routes = routes, Routes(own, own)
        return *others, self._routes[1]

    def gather(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """x [t, D] of all processes to [T, D]."""
        x, *others = args
        return _Gather.apply(x, self.group, self.size, self.rank)[: self._total], *others

    def to_heads(self, _: nn.Module, __: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor:
        """All heads of some tokens [t, W] to some heads of all tokens [T, W / size]."""
        turned: torch.Tensor = _Turn.apply(out, self.group, self.size, True)
        return turned[: self._total]

    def to_tokens(self, _: nn.Module, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        """[T, W / size] back to [t, W]."""
        share = -(-self._total // self.size)
        return (_Turn.apply(_filled(args[0], share * self.size), self.group, self.size, False),)


def _filled(x: torch.Tensor, rows: int) -> torch.Tensor:
    return torch.cat([x, x.new_zeros(rows - len(x), *x.shape[1:])]) if rows > len(x) else x


def _turned(x: torch.Tensor, group: dist.ProcessGroup, size: int, to_heads: bool) -> torch.Tensor:
    """[t, W] to [size * t, W / size], or back."""
    parts = x.view(len(x), size, -1).transpose(0, 1) if to_heads else x.view(size, -1, x.shape[-1])
    got = torch.empty_like(parts, memory_format=torch.contiguous_format)
    dist.all_to_all_single(got, parts.contiguous(), group=group)
    return got.flatten(0, 1) if to_heads else got.transpose(0, 1).flatten(1)


class _Turn(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, group: dist.ProcessGroup, size: int, to_heads: bool
    ) -> torch.Tensor:
        ctx.how = group, size, not to_heads
        return _turned(x, group, size, to_heads)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return _turned(gradients[0].contiguous(), *ctx.how), None, None, None


class _Gather(torch.autograd.Function):
    """What is behind it computes the same on all processes, each with its share of the loss: a process has
    the whole gradient of its tokens without asking the others."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: dist.ProcessGroup, size: int, rank: int) -> torch.Tensor:
        ctx.share, ctx.size, ctx.rank = len(x), size, rank
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(size)]
        dist.all_gather(parts, x.contiguous(), group=group)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        own = gradients[0][ctx.share * ctx.rank :][: ctx.share]
        return own * ctx.size, None, None, None
