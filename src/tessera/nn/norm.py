"""Normalisation layers."""

from typing import Any, Literal

import torch
from torch import nn

from tessera.nn.cpu import native
from tessera.nn.cpu.native import takes_pieces

NormKind = Literal["rms_norm", "layer_norm"]


class RMSNorm(nn.Module):
    """Root-mean-square norm, computed in float32, cast back, then scaled (docs/facts/architecture.md)."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., D] to [..., D] in the dtype of `x`."""
        if not torch.is_grad_enabled():
            if takes_pieces(x):
                return native.norm(x, self.weight, self.eps)
            return _scaled_by_norm(x, self.eps)[0].to(x.dtype) * self.weight
        out: torch.Tensor = _TrainedRMSNorm.apply(x, self.weight, self.eps)
        return out


def _scaled_by_norm(x: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """x / rms(x) and 1 / rms(x), float32; a vector norm is many times as fast as squares and their mean."""
    x = x.float()
    mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square() / x.shape[-1]
    scale = (mean_square + eps).rsqrt()
    return x * scale, scale


class _TrainedRMSNorm(torch.autograd.Function):
    """The same with its gradient in closed form: autograd's own takes four times as long on CPUs.

    It goes when `F.rms_norm` is as fast there.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        normed, scale = _scaled_by_norm(x, eps)
        ctx.save_for_backward(normed, scale, weight)
        ctx.dtype = x.dtype
        return normed.to(x.dtype) * weight

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        normed, scale, weight = ctx.saved_tensors
        gradient = gradients[0].float()
        by_weight = (gradient * normed).flatten(0, -2)  # [T, D]
        shared = (by_weight @ weight.float() / len(weight)).view(scale.shape)
        towards = torch.addcmul(gradient * weight, normed, shared, value=-1).mul_(scale)
        return towards.to(ctx.dtype), by_weight.sum(0).to(weight.dtype), None


def make_norm(kind: NormKind, width: int, eps: float) -> nn.Module:
    """The norm that a config names."""
    return RMSNorm(width, eps) if kind == "rms_norm" else nn.LayerNorm(width, eps=eps)
