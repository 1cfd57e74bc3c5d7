"""Linear layers for inference: laid out for the CPU's matrix kernels, or in int8.

`make_linear` builds what a checkpoint is loaded into. `plain` is `nn.Linear`, which trains. `packed` lays the
weight out as oneDNN wants it, which reads it half as fast again for few rows and spares a copy for many.
`int8` keeps one byte a weight. Packed and int8 layers have no gradients and say so. A layer that cannot be
packed (CUDA, no oneDNN) computes with F.linear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from tessera.nn.cpu import can_pack, int8_product, packed_product, packed_weight

LinearKind = Literal["plain", "packed", "int8"]

Activation = Literal["gelu", "silu"]
ACTIVATIONS: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {"gelu": F.gelu, "silu": F.silu}

FEW_ROWS = 8
"""Up to so many rows torch's int8 kernel beats dequantising on a CPU."""

LARGE = 2**20
"""Weights from which on one or two rows are repeated before a packed product."""

SLICE_BYTES = 4 * 2**20
"""Dequantised weights of this size at a time: they stay in the cache and never add up to the model."""


def make_linear(kind: LinearKind, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    """A layer for weight float [out, in] and bias float [out]; the weight's dtype is the one it computes in.

    The tensors are kept (plain, packed) or read once (int8). Raises ValueError for an unknown kind.
    """
    if kind == "plain":
        return _plain(weight, bias)
    if kind == "packed":
        return PackedLinear(weight, bias)
    if kind == "int8":
        return Int8Linear(*quantise(weight), bias)
    raise ValueError(f"linears = {kind!r}: choose one of plain, packed, int8")


def _plain(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer


class InferenceLinear(nn.Module):
    """What packed and int8 layers share: sizes, and the refusal to train."""

    bias: torch.Tensor | None

    def __init__(self, shape: torch.Size, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = shape
        self.register_buffer("bias", None if bias is None else bias.detach())

    def extra_repr(self) -> str:
        """Sizes, as nn.Linear shows them."""
        return f"in_features={self.in_features}, out_features={self.out_features}"

    def _refuse_gradients(self, x: torch.Tensor) -> None:
        if x.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{type(self).__name__} has no gradients: load with linears='plain' to train")


class PackedLinear(InferenceLinear):
    """x W^T + b with W laid out for oneDNN when it is used a second time.

    Until then the weight stays as it was given, perhaps in a mapped file, so that opening a model takes no
    time and a part that is used once is not laid out for it. Afterwards only the packed form is kept.
    """

    _weight: torch.Tensor
    _used: bool
    _packable: bool

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__(weight.shape, bias)
        self._hold(weight.detach())

    def forward(self, x: torch.Tensor, then: Activation | None = None) -> torch.Tensor:
        """[..., in] to [..., out], with an activation in the same pass. Raises ValueError when a gradient is
        asked for."""
        self._refuse_gradients(x)
        if not self._packable:
            out = F.linear(x, self._weight, self.bias)
            return out if then is None else ACTIVATIONS[then](out)
        if self._used and not self.is_packed:
            self._weight = packed_weight(self._weight)
        self._used = True
        rows = x.numel() // self.in_features
        if rows > 2 or x.dtype != torch.bfloat16 or self._weight.numel() < LARGE:
            return packed_product(x, self._weight, self.bias, then)
        # oneDNN reads a large weight up to a fifth faster for four rows than for one or two.
        four = x.reshape(rows, -1).repeat(4 // rows, 1)
        return packed_product(four, self._weight, self.bias, then)[:rows].view(*x.shape[:-1], -1)

    @property
    def is_packed(self) -> bool:
        """Whether the weight has been laid out."""
        return self._weight.is_mkldnn

    @property
    def weight(self) -> torch.Tensor:
        """The dense weight [out, in]; once packed, a copy to look at."""
        return self._weight.to_dense() if self.is_packed else self._weight

    def _hold(self, weight: torch.Tensor) -> None:
        # A plain attribute: oneDNN tensors can be neither moved nor cast as buffers are.
        self._weight, self._used = weight, False
        self._packable = can_pack(weight.device, weight.dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_weight": self.weight}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._hold(self._weight)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> PackedLinear:
        super()._apply(fn, recurse)
        probe = torch.empty(0, dtype=self._weight.dtype, device=self._weight.device)
        moved = fn(probe)
        if (moved.dtype, moved.device) != (probe.dtype, probe.device):
            self._hold(fn(self.weight))
        return self


class Int8Linear(InferenceLinear):
    """x (weight * scale)^T + b with weight int8 [out, in] and one scale per output channel, [out].

    The scale's dtype is the one it computes in. Few rows on a CPU take torch's int8 kernel; otherwise slices
    of the weight are turned into that dtype, exactly, and the product is scaled.
    """

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__(weight.shape, bias)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] to [..., out]. Raises ValueError when a gradient is asked for."""
        self._refuse_gradients(x)
        rows = x.reshape(-1, self.in_features)
        if len(rows) <= FEW_ROWS and x.device.type == "cpu":
            out = int8_product(rows, self.weight, self.scale)
            out = out if self.bias is None else out.add_(self.bias)
        else:
            out = self._by_slices(rows)
        return out.view(*x.shape[:-1], self.out_features)

    def _by_slices(self, rows: torch.Tensor) -> torch.Tensor:
        out = rows.new_empty(len(rows), self.out_features)
        step = max(1, SLICE_BYTES // (self.in_features * rows.element_size()))
        for start in range(0, self.out_features, step):
            part = slice(start, start + step)
            product = F.linear(rows, self.weight[part].to(rows.dtype))
            if self.bias is None:
                torch.mul(product, self.scale[part], out=out[:, part])
            else:
                torch.addcmul(self.bias[part], product, self.scale[part], out=out[:, part])
        return out


def quantise(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight float [out, in] to int8 [out, in] and scale [out] in the weight's dtype: symmetric, by rows.

    The scale is rounded to that dtype first and the weights are divided by what is left, so that its rounding
    costs nothing. No weight moves by more than half a scale.
    """
    weight = weight.detach()
    whole = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    scale = (weight.abs().amax(1).float() / 127).clamp_min(1e-30).to(weight.dtype)
    step = max(1, SLICE_BYTES // (4 * weight.shape[1]))
    for start in range(0, len(weight), step):
        part = slice(start, start + step)
        steps = (weight[part].float() / scale[part, None].float()).round_()
        whole[part] = steps.clamp_(-127, 127)
    return whole, scale


def linear_then(layer: nn.Module, x: torch.Tensor, then: Activation) -> torch.Tensor:
    """A layer's result with GELU (exact) or SiLU applied, fused into the product where the layer can."""
    if isinstance(layer, PackedLinear):
        fused: torch.Tensor = layer(x, then)
        return fused
    return ACTIVATIONS[then](layer(x))
