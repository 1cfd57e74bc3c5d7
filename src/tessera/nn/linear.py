"""What a checkpoint's matrices are loaded into.

`plain` is `nn.Linear`, which trains. `packed` is for inference: few rows stream through the weight by our own
kernel where that was measured to be faster (`cpu/routes.py`); otherwise it is laid out as oneDNN wants it,
which reads it half as fast again and spares many rows a copy. It has no gradients and says so.
`int8` and `int4` keep one byte or half a byte a weight (`nn/quantised.py`). A layer that cannot be packed
(CUDA, no oneDNN) computes with F.linear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from tessera.nn.codes import quantise, quantise_4bit
from tessera.nn.cpu.native import Streamed, multiply
from tessera.nn.cpu.operators import can_pack, packed_product, packed_weight
from tessera.nn.cpu.routes import streams, takes_native
from tessera.nn.quantised import QuantisedLinear

LinearKind = Literal["plain", "packed", "int8", "int4"]

Activation = Literal["gelu", "silu"]
ACTIVATIONS: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {"gelu": F.gelu, "silu": F.silu}

LARGE = 2**20
"""Weights from which on one or two rows are repeated before a packed product."""


def make_linear(kind: LinearKind, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    """A layer for weight float [out, in] and bias float [out]; the weight's dtype is the one it computes in.

    The tensors are kept (plain, packed) or read once (int8, int4). Raises ValueError for an unknown kind.
    """
    if kind == "plain":
        return _plain(weight, bias)
    if kind == "packed":
        return PackedLinear(weight, bias)
    if kind == "int8":
        return quantise(weight).linear(bias)
    if kind == "int4":
        return quantise_4bit(weight).linear(bias)
    raise ValueError(f"linears = {kind!r}: choose one of plain, packed, int8, int4")


def inference_head(head: nn.Module, few_bits: bool) -> nn.Module:
    """What a language model's head becomes in inference on a CPU, where it is a third of what a small model
    reads for a token: eight bits in a model of `few_bits`, else few rows stream through it by our own kernel.

    A weight that is tied to the embedding stays one with it, but in eight bits, which it takes beside it.
    Heads on other devices, in float32, in few bits or laid out already are given back as they are.
    """
    if not isinstance(head, nn.Linear | PackedLinear) or head.weight.device.type != "cpu":
        return head
    if head.weight.dtype != torch.bfloat16:
        return head
    if few_bits:
        return make_linear("int8", head.weight, head.bias)
    return head if isinstance(head, PackedLinear) else PackedLinear(head.weight, head.bias, shared=True)


def _plain(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer


class PackedLinear(nn.Module):
    """x W^T + b with W laid out for oneDNN when it is used a second time.

    Until then the weight stays as it was given, perhaps in a mapped file, so that opening a model takes no
    time and a part that is used once is not laid out for it. Afterwards only the packed form is kept; but
    rows for our own kernel, which reads the plain form, bring that back for good. A `shared` weight is never
    laid out.
    """

    bias: torch.Tensor | None
    _weight: torch.Tensor
    _used: bool
    _packable: bool

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, shared: bool = False) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("bias", None if bias is None else bias.detach())
        self._hold(weight.detach(), packable=not shared)

    def forward(self, x: torch.Tensor, then: Activation | None = None) -> torch.Tensor:
        """[..., in] to [..., out], with an activation in the same pass. Raises ValueError when a gradient is
        asked for."""
        if x.requires_grad and torch.is_grad_enabled():
            raise ValueError("PackedLinear has no gradients: load with linears='plain' to train")
        rows = x.reshape(-1, self.in_features)
        if takes_native("bfloat16", rows, self.out_features, _packed_way):
            out = multiply(rows, self._plain()).view(*x.shape[:-1], -1)
            return out if then is None else ACTIVATIONS[then](out)
        if not self._packable:
            out = F.linear(x, self._weight, self.bias)
            return out if then is None else ACTIVATIONS[then](out)
        if self._used and not self.is_packed:
            self._weight = packed_weight(self._weight)
        self._used = True
        if self._weight.numel() < LARGE:
            return packed_product(x, self._weight, self.bias, then)
        return _few_packed(rows, self._weight, self.bias, then).view(*x.shape[:-1], -1)

    def streamed(self, rows: int) -> Streamed | None:
        """The weight for our own kernel; None where so many rows go PyTorch's way."""
        known = self._weight.dtype == torch.bfloat16 and self._weight.device.type == "cpu"
        if known and streams("bfloat16", rows, self.in_features, self.out_features, _packed_way):
            return self._plain()
        return None

    @property
    def addresses(self) -> tuple[int, ...]:
        """Where its tensors lie; others after a move or a cast, none once it is packed."""
        if self.is_packed:
            return ()
        return tuple(each.data_ptr() for each in (self._weight, self.bias) if each is not None)

    def _plain(self) -> Streamed:
        if self._packable or not self._weight.is_contiguous():
            self._hold(self.weight.contiguous(), packable=False)
        return Streamed("bfloat16", self._weight, bias=self.bias)

    def cut(self, count: int) -> Iterator[PackedLinear]:
        """Layers of equal shares of the rows, which keep the memory of this one and are never laid out."""
        weights = self.weight.chunk(count)
        biases = [None] * count if self.bias is None else self.bias.chunk(count)
        return (PackedLinear(*pair, shared=True) for pair in zip(weights, biases, strict=True))

    @property
    def is_packed(self) -> bool:
        """Whether the weight has been laid out."""
        return self._weight.is_mkldnn

    @property
    def weight(self) -> torch.Tensor:
        """The dense weight [out, in]; once packed, a copy to look at."""
        return self._weight.to_dense() if self.is_packed else self._weight

    def extra_repr(self) -> str:
        """Sizes, as nn.Linear shows them."""
        return f"in_features={self.in_features}, out_features={self.out_features}"

    def _hold(self, weight: torch.Tensor, packable: bool = True) -> None:
        # A plain attribute: oneDNN tensors can be neither moved nor cast as buffers are.
        self._weight, self._used = weight, False
        self._packable = packable and can_pack(weight.device, weight.dtype)

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


def _few_packed(
    rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, then: Activation | None = None
) -> torch.Tensor:
    """Rows by a packed weight. oneDNN reads it up to a fifth faster for four of them than for one or two."""
    count = len(rows)
    if count not in (1, 2) or rows.dtype != torch.bfloat16:
        return packed_product(rows, weight, bias, then)
    return packed_product(rows.repeat(4 // count, 1), weight, bias, then)[:count]


def _packed_way(given: Streamed) -> Callable[[torch.Tensor], torch.Tensor]:
    """What our kernel is measured against."""
    weight = given.weight
    if not can_pack(weight.device, weight.dtype):
        return lambda rows: F.linear(rows, weight)
    packed = packed_weight(weight)
    return lambda rows: _few_packed(rows, packed, None)


def streamed(layer: nn.Module, rows: int) -> Streamed | None:
    """The weight of a layer for our own kernel; None where so many rows of bfloat16 go PyTorch's way."""
    return layer.streamed(rows) if isinstance(layer, PackedLinear | QuantisedLinear) else None


def addresses(layer: nn.Module) -> tuple[int, ...]:
    """Where the tensors of a layer lie that may have a `streamed` form; nothing for others."""
    return layer.addresses if isinstance(layer, PackedLinear | QuantisedLinear) else ()


def linear_then(layer: nn.Module, x: torch.Tensor, then: Activation) -> torch.Tensor:
    """A layer's result with GELU (exact) or SiLU applied, fused into the product where the layer can."""
    if isinstance(layer, PackedLinear):
        fused: torch.Tensor = layer(x, then)
        return fused
    return ACTIVATIONS[then](layer(x))


def scaled_linear(layer: nn.Module, x: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """A layer's result [..., out], each channel times `scale` [out]; None leaves it.

    Where the scale is trained it goes into the weight: the weight's gradient gives that of the scale, so the
    result is neither kept nor, by `recompute`, computed again for it.
    """
    if scale is not None and type(layer) is nn.Linear and torch.is_grad_enabled() and scale.requires_grad:
        bias = None if layer.bias is None else layer.bias * scale
        return F.linear(x, layer.weight * scale[:, None], bias)
    out: torch.Tensor = layer(x)
    return out if scale is None else out * scale
