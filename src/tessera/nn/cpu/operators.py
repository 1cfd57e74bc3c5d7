"""PyTorch's private CPU operators: oneDNN's prepacked product and the int8 product.

There is no public way to either. Each goes, with the layer of `nn/linear.py` that calls it, when `F.linear`
reads a weight as fast.
"""

from functools import cache

import torch

POINTWISE = {None: ("none", ""), "gelu": ("gelu", "none"), "silu": ("swish", "")}
"""oneDNN's names of an activation: the function and its variant."""


@cache
def multiplies_bfloat16() -> bool:
    """Whether oneDNN has bfloat16 products for this machine."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN's prepacked product exists here for this device and dtype."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise")):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and multiplies_bfloat16())


def packed_weight(weight: torch.Tensor) -> torch.Tensor:
    """A weight [out, in] in oneDNN's own order."""
    out: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return out


def packed_product(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, then: str | None
) -> torch.Tensor:
    """[..., in] to [..., out] by a `packed_weight`, followed by the activation of that name."""
    name, variant = POINTWISE[then]
    out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], variant)
    return out


INT8_STEP = 16
"""Numbers of a row that the int8 product reads at a time: with others in a row it reads behind its end."""


def int8_product(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """x [R, in] by weight int8 [out, in] and scale [out], to [R, out]; `in` is a multiple of INT8_STEP."""
    return torch._weight_int8pack_mm(x, weight, scale)
