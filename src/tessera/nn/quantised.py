"""Linear layers that keep a byte or half a byte a weight: for inference, and as the frozen base of LoRA.

They have no parameters. Gradients pass through to the input; nothing is kept for that but the layer itself.
Weights are turned into floats a slice at a time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from tessera.nn.cpu.native import STEP, Kind, Streamed, multiply
from tessera.nn.cpu.operators import INT8_STEP, int8_product
from tessera.nn.cpu.pages import into_large_pages
from tessera.nn.cpu.routes import streams, takes_native

FEW_ROWS = 8
"""Up to so many rows torch's int8 kernel beats dequantising on a CPU."""

SLICE_BYTES = 4 * 2**20
"""Dequantised weights of this size at a time: they stay in the cache and never add up to the model."""

GROUP = 64
"""Weights of a row that share a scale in 4 bits."""

NORMAL_LEVELS = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
    *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
    *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941),
    *(0.7229568362236023, 1.0),
)
"""NF4: values that normally distributed weights take equally often (QLoRA, arXiv 2305.14314, appendix E)."""


class QuantisedLinear(nn.Module):
    """x W^T + b with a W that is kept in few bits; the dtype of `like` is the one it computes in."""

    kind: Kind
    bias: torch.Tensor | None
    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None, in_a_byte: int = 1
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = len(weight), in_a_byte * weight.shape[1]
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if bias is None else bias.detach())
        self._in_large_pages = False

    @property
    def like(self) -> torch.Tensor:
        """A tensor on the device and in the dtype that the layer computes in."""
        return self.scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] to [..., out]."""
        rows = x.reshape(-1, self.in_features)
        if _is_traced(x):
            out = cast(torch.Tensor, _FrozenProduct.apply(rows, self))
        elif self._streams and takes_native(self.kind, rows, self.out_features, self.torchs_way):
            out = self._by_kernel(rows)
        else:
            out = self.product(rows)
        return out.view(*x.shape[:-1], self.out_features)

    def streamed(self, rows: int) -> Streamed | None:
        """The weight for our own kernel; None where so many rows go PyTorch's way."""
        known = self._streams and self.scale.device.type == "cpu"
        if known and streams(self.kind, rows, self.in_features, self.out_features, self.torchs_way):
            return self._streamed
        return None

    def _by_kernel(self, rows: torch.Tensor) -> torch.Tensor:
        return multiply(rows, self._streamed)

    @property
    def addresses(self) -> tuple[int, ...]:
        """Where its tensors lie; others after a move or a cast."""
        return tuple([each.data_ptr() for each in self._buffers.values() if each is not None])

    @property
    def _streamed(self) -> Streamed:
        if not self._in_large_pages:  # asked for by those alone who stream: it takes a second for half a GB
            into_large_pages(self.weight)
            self._in_large_pages = True
        return Streamed(self.kind, self.weight, self.scale, self.bias, self.levels)

    @property
    def levels(self) -> torch.Tensor | None:
        """What the codes of weights stand for, [16]; None where they are numbers themselves."""
        return None

    @property
    def _streams(self) -> bool:
        """Whether our kernels know weights that are stored like this."""
        return self.scale.dtype == torch.bfloat16

    @classmethod
    def torchs_way(cls, given: Streamed) -> Callable[[torch.Tensor], torch.Tensor]:
        """What our kernel is measured against: `product`, whatever the levels are."""
        assert given.scale is not None
        return cls(given.weight, given.scale, None).product

    def product(self, rows: torch.Tensor) -> torch.Tensor:
        """[R, in] to [R, out]."""
        out = rows.new_empty(len(rows), self.out_features)
        for part in self._parts(rows.element_size()):
            matrix, scale = self.piece(part, rows.dtype)
            bias = None if self.bias is None else self.bias[part].to(rows.dtype)
            if scale is None:
                out[:, part] = F.linear(rows, matrix, bias)
            elif bias is None:
                torch.mul(F.linear(rows, matrix), scale, out=out[:, part])
            else:
                torch.addcmul(bias, F.linear(rows, matrix), scale, out=out[:, part])
        return out

    def pull_back(self, grad: torch.Tensor) -> torch.Tensor:
        """The gradient of the result [R, out] to that of the rows [R, in]."""
        total = grad.new_zeros(len(grad), self.in_features)
        for part in self._parts(grad.element_size()):
            matrix, scale = self.piece(part, grad.dtype)
            share = grad[:, part] if scale is None else grad[:, part] * scale
            total.addmm_(share, matrix)
        return total

    @abstractmethod
    def piece(self, part: slice, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Rows of the weight [n, in] in a dtype, and what they are still to be multiplied by, [n]."""

    def dense(self) -> torch.Tensor:
        """The weight [out, in] that is computed with, in float32."""
        matrix, scale = self.piece(slice(None), torch.float32)
        return matrix if scale is None else matrix * scale[:, None].float()

    def _parts(self, size: int) -> Iterator[slice]:
        step = max(1, SLICE_BYTES // (self.in_features * size))
        return (slice(start, start + step) for start in range(0, self.out_features, step))

    def cut(self, count: int) -> Iterator[QuantisedLinear]:
        """Layers of equal shares of the rows, which keep the memory of this one."""
        by_rows = self._buffers.keys() - self._non_persistent_buffers_set
        shares = {name: each.chunk(count) for name in by_rows if (each := self._buffers[name]) is not None}
        for number in range(count):
            layer = copy(self)
            layer._buffers = self._buffers | {name: parts[number] for name, parts in shares.items()}
            layer.out_features = self.out_features // count
            yield layer

    def extra_repr(self) -> str:
        """Sizes, as nn.Linear shows them."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class Int8Linear(QuantisedLinear):
    """x (weight * scale)^T + b with weight int8 [out, in] and one scale per output channel, [out].

    Few rows on a CPU take torch's int8 kernel; otherwise slices of the weight are turned into floats,
    exactly, and the product is scaled.
    """

    kind = "int8"

    def product(self, rows: torch.Tensor) -> torch.Tensor:
        """[R, in] to [R, out]."""
        if len(rows) > FEW_ROWS or rows.device.type != "cpu" or self.in_features % INT8_STEP:
            return super().product(rows)
        out = int8_product(rows, self.weight, self.scale.to(rows.dtype))
        return out if self.bias is None else out.add_(self.bias.to(rows.dtype))

    def piece(self, part: slice, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Whole numbers, exact in any float, and their scales."""
        return self.weight[part].to(dtype), self.scale[part].to(dtype)


class Int4Linear(QuantisedLinear):
    """As `Int8Linear`, with two weights a byte: uint8 [out, in / 2], the first of a pair in the high bits.

    `scale` [out, in / GROUP]: the largest weight of each group of a row; a weight is one of `NORMAL_LEVELS`
    times it.
    """

    kind = "int4"
    table: tuple[float, ...] = NORMAL_LEVELS
    pairs: torch.Tensor

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__(weight, scale, bias, in_a_byte=2)
        levels = torch.tensor(self.table, device=weight.device)
        both = torch.stack((levels.repeat_interleave(16), levels.repeat(16)), dim=1)  # [256, 2]
        self.register_buffer("pairs", both.to(scale.dtype), persistent=False)

    @property
    def levels(self) -> torch.Tensor:
        """What the 16 codes stand for, in the layer's dtype."""
        return self.pairs[:16, 1].contiguous()

    @property
    def _streams(self) -> bool:
        return super()._streams and self.in_features == STEP * self.scale.shape[1]

    def piece(self, part: slice, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weights in a dtype; their scales differ along the row and are in them."""
        levels = F.embedding(self.weight[part].int(), self.pairs.to(dtype))  # [n, in / 2, 2]
        scale = self.scale[part].to(dtype)[..., None]
        groups = levels.view(len(levels), scale.shape[1], -1).mul_(scale)
        return groups.view(len(levels), self.in_features), None


class Mxfp4Linear(Int4Linear):
    """As `Int4Linear` with the 16 values of a float of four bits (OCP Microscaling Formats 1.0): one bit for
    the sign, two for the exponent, one more. Scales are powers of two, so bfloat16 holds a weight exactly."""

    table = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)


class OffsetInt4Linear(Int4Linear):
    """Whole numbers 0 to 15 less a zero that groups of a row have of their own, as AWQ makes them.

    weight uint8 [out, in / 2] as `Int4Linear`'s; scale and zero (uint8) [out, in / group]: a weight is
    (code - zero) * scale. Our kernel, which knows no zeros, takes 8 instead; the rest of them, the same for a
    whole group, is added from the sums of its inputs.
    """

    table = tuple(float(code - 8) for code in range(16))
    zero: torch.Tensor
    offset: torch.Tensor

    def __init__(
        self, weight: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor, bias: torch.Tensor | None
    ) -> None:
        group = 2 * weight.shape[1] // scale.shape[1]
        repeats = group // STEP if group % STEP == 0 else 1
        super().__init__(weight, scale.repeat_interleave(repeats, 1), bias)
        self.register_buffer("zero", zero)
        self.register_buffer("offset", (8.0 - zero.float()) * scale.float())

    def streamed(self, rows: int) -> Streamed | None:
        """None: the kernel alone would leave the zeros out."""
        return None

    @classmethod
    def torchs_way(cls, given: Streamed) -> Callable[[torch.Tensor], torch.Tensor]:
        """That of the class above, which takes as long."""
        return Int4Linear.torchs_way(given)

    def _by_kernel(self, rows: torch.Tensor) -> torch.Tensor:
        sums = rows.float().view(len(rows), self.offset.shape[1], -1).sum(-1)
        most = super()._by_kernel(rows)
        return torch.addmm(most.float(), sums, self.offset.T).to(rows.dtype)

    def piece(self, part: slice, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weights in a dtype, each rounded once."""
        levels = F.embedding(self.weight[part].int(), self.pairs.to(dtype))  # [n, in / 2, 2]
        zero, scale = 8 - self.zero[part].to(dtype), self.scale[part].to(dtype)
        count = len(levels)
        levels.view(count, zero.shape[1], -1).add_(zero[..., None])
        return levels.view(count, scale.shape[1], -1).mul_(scale[..., None]).view(count, -1), None


def _is_traced(x: torch.Tensor) -> bool:
    return x.requires_grad and torch.is_grad_enabled()


class _FrozenProduct(torch.autograd.Function):
    """A product whose backward pass needs the layer alone: no graph is kept of its slices."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, layer: QuantisedLinear) -> torch.Tensor:
        ctx.layer = layer
        return layer.product(rows)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.layer.pull_back(grads[0]), None
