"""Low-rank factors beside a frozen linear layer: y = base(x) + scale * B (A x) (LoRA, arXiv 2106.09685).

A wrapped layer has the child `base` (plain, int8 or int4) and the parameters `lora_A` [r, in] and `lora_B`
[out, r]. Names without `.base` are the own names that rules, key tables and checkpoints use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from tessera.nn.quantised import QuantisedLinear
from tessera.runtime.config import Config

FACTORS = ("lora_A", "lora_B")


class LoRAConfig(Config):
    """How a linear is wrapped; the defaults are those of the published recipes (docs/facts/training.md)."""

    rank: int = Field(default=16, gt=0)
    alpha: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """None is twice the rank."""
    dropout: float = Field(default=0.05, ge=0, le=0.99)
    """Share of the input that the factors don't see in training."""
    rslora: bool = False
    """Divide alpha by the root of the rank instead of the rank (rsLoRA, arXiv 2312.03732)."""

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        alpha = 2.0 * self.rank if self.alpha is None else self.alpha
        return alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    def has_shape_of(self, other: LoRAConfig) -> bool:
        """Whether factors of the other can go on with these settings: the same rank and scale."""
        return self.rank == other.rank and math.isclose(self.scale, other.scale)


class LoRALinear(nn.Module):
    """A frozen linear with trained factors, made in float32; they are cast to the input's dtype.

    A starts uniform within 1 / sqrt(in), as PEFT's does, drawn from `seed`; B starts at zero. Dropout draws
    from torch's generator of the device. Of the input one copy is kept for the backward pass, and with
    dropout a byte a number.
    """

    def __init__(self, base: nn.Linear | QuantisedLinear, config: LoRAConfig, seed: int = 0) -> None:
        super().__init__()
        self.base: nn.Linear | QuantisedLinear = base.requires_grad_(False)
        self.left_out = False
        self.in_features, self.out_features = base.in_features, base.out_features
        self.config = config
        device = (base.like if isinstance(base, QuantisedLinear) else base.weight).device
        self.lora_A = nn.Parameter(_uniform(config.rank, base.in_features, seed).to(device))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, config.rank, device=device))

    @classmethod
    def without_values(cls, base: nn.Linear | QuantisedLinear, config: LoRAConfig) -> LoRALinear:
        """With factors on the meta device, whose values nobody reads: nothing is drawn."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.base, layer.config, layer.left_out = base.requires_grad_(False), config, False
        layer.in_features, layer.out_features = base.in_features, base.out_features
        layer.lora_A = nn.Parameter(torch.empty(config.rank, base.in_features, device="meta"))
        layer.lora_B = nn.Parameter(torch.empty(base.out_features, config.rank, device="meta"))
        return layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] to [..., out]. Gradients reach x through the base, which keeps none of its own."""
        out: torch.Tensor = self.base(x)
        if self.left_out:
            return out
        down, up = self.lora_A.to(x.dtype), self.lora_B.to(x.dtype)
        if self.training and self.dropout:
            low = cast(torch.Tensor, _DroppedProduct.apply(x, down, self.dropout))
        else:
            low = F.linear(x, down)
        # One product that adds: in half precision the sum is rounded once.
        added = torch.addmm(out.flatten(0, -2), low.flatten(0, -2), up.t(), alpha=self.scale)
        return added.view(out.shape)

    @property
    def rank(self) -> int:
        """Rows of A."""
        return self.config.rank

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        return self.config.scale

    @property
    def dropout(self) -> float:
        """Share of the input that the factors don't see in training."""
        return self.config.dropout

    @property
    def weight(self) -> nn.Parameter:
        """The base's weight. ValueError for a quantised one, which takes no factors."""
        if isinstance(self.base, QuantisedLinear):
            raise ValueError(
                f"{type(self.base).__name__} can't take LoRA factors: keep the same lora settings to the end "
                "of the run, or start with frozen = 'stored'; `tessera convert --adapter` merges a saved "
                "adapter into the stored base"
            )
        return cast(nn.Parameter, self.base.weight)

    def extra_repr(self) -> str:
        """Rank, scale and dropout."""
        return f"rank={self.rank}, scale={self.scale:g}, dropout={self.dropout:g}"


def added(weight: torch.Tensor, up: torch.Tensor, down: torch.Tensor, scale: float) -> torch.Tensor:
    """weight [out, in] + scale * up [out, r] down [r, in], summed in float32 and rounded once."""
    whole = torch.addmm(weight.float(), up.float(), down.float(), alpha=scale)
    return whole.to(weight.dtype)


def own_name(name: str) -> str:
    """The stable name of a parameter, whether its linear is wrapped or not.

    >>> own_name("decoder.layers.0.mlp.up_proj.base.weight")
    'decoder.layers.0.mlp.up_proj.weight'
    """
    return name.replace(".base.", ".")


def weight_of(name: str) -> str:
    """The own name of the weight that a factor belongs to; other names come back as their own.

    >>> weight_of("decoder.layers.0.mlp.up_proj.lora_A")
    'decoder.layers.0.mlp.up_proj.weight'
    """
    module, _, leaf = name.rpartition(".")
    return f"{module}.weight" if leaf in FACTORS else own_name(name)


def lora_linears(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """Path and module of every wrapped linear."""
    return ((path, module) for path, module in model.named_modules() if isinstance(module, LoRALinear))


@contextmanager
def without_factors(model: nn.Module) -> Iterator[None]:
    """Inside, wrapped linears compute what their bases do."""
    layers = [layer for _, layer in lora_linears(model)]
    for layer in layers:
        layer.left_out = True
    try:
        yield
    finally:
        for layer in layers:
            layer.left_out = False


def replace_module(model: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module where another stands."""
    parent, _, child = path.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _uniform(rank: int, width: int, seed: int) -> torch.Tensor:
    """PEFT's starting values: float32 [rank, width], Kaiming uniform with a = sqrt(5)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rank, width, generator=generator).mul_(2).sub_(1).div_(math.sqrt(width))


def kept_numbers(x: torch.Tensor, share: float) -> tuple[torch.Tensor, float]:
    """What dropout keeps, bool of x's shape, and what that is to be multiplied by.

    The share is rounded to 1 / 65,536, so that four numbers come of a drawn word of 64 bits: on a CPU a
    quarter of the time of `bernoulli_`, which took longer than all else that the factors of a layer do.
    """
    levels = round(share * 2**16)
    words = torch.randint(-(2**63), 2**63 - 1, (-(-x.numel() // 4),), device=x.device)
    kept = words.view(torch.int16)[: x.numel()] >= levels - 2**15
    return kept.view(x.shape), 2**16 / (2**16 - levels)


class _DroppedProduct(torch.autograd.Function):
    """dropout(x) A^T that keeps x, which others keep too, and a mask, instead of a second x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, down: torch.Tensor, share: float) -> torch.Tensor:
        kept, ctx.factor = kept_numbers(x, share)
        ctx.save_for_backward(x, kept, down)
        return F.linear(torch.where(kept, x, 0), down) * ctx.factor

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, kept, down = ctx.saved_tensors
        grad = grads[0] * ctx.factor
        for_x = torch.where(kept, grad @ down, 0) if ctx.needs_input_grad[0] else None
        for_down = grad.flatten(0, -2).t() @ torch.where(kept, x, 0).flatten(0, -2)
        return for_x, for_down, None
