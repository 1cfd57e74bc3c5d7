"""Weights to the codes that layers in few bits keep."""

from __future__ import annotations

from typing import NamedTuple

import torch

from tessera.nn.quantised import (
    GROUP,
    NORMAL_LEVELS,
    SLICE_BYTES,
    Int4Linear,
    Int8Linear,
    Mxfp4Linear,
    OffsetInt4Linear,
    QuantisedLinear,
)


class Codes(NamedTuple):
    """A weight in few bits, as the layers of `quantised` keep it: int8 [out, in] with scale [out], or uint8
    [out, in / 2] with scale [out, in / group], and perhaps with zero uint8 [out, in / group]."""

    weight: torch.Tensor
    scale: torch.Tensor
    zero: torch.Tensor | None = None

    def linear(self, bias: torch.Tensor | None) -> QuantisedLinear:
        """The layer that computes with them; bias [out] in the dtype of the scale."""
        if self.zero is not None:
            return OffsetInt4Linear(self.weight, self.scale, self.zero, bias)
        kind = Int8Linear if self.weight.dtype == torch.int8 else Int4Linear
        return kind(self.weight, self.scale, bias)

    def dense(self) -> torch.Tensor:
        """The weight [out, in] that they stand for, in float32."""
        return self.linear(None).dense()


class Mxfp4Codes(Codes):
    """Codes of GPT-OSS's experts: uint8 [out, in / 2] with a power of two for 32 inputs, [out, in / 32]."""

    def linear(self, bias: torch.Tensor | None) -> QuantisedLinear:
        """The layer that computes with them."""
        return Mxfp4Linear(self.weight, self.scale, bias)


def quantise(weight: torch.Tensor, dtype: torch.dtype | None = None) -> Codes:
    """Weight float [out, in] to int8 [out, in] and scale [out] in a dtype, the weight's: symmetric, by rows.

    The scale is rounded to that dtype first and the weights are divided by what is left, so that its rounding
    costs nothing. No weight moves by more than half a scale.
    """
    weight = weight.detach()
    whole = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    scale = (weight.abs().amax(1).float() / 127).clamp_min(1e-30).to(dtype or weight.dtype)
    step = max(1, SLICE_BYTES // (4 * weight.shape[1]))
    for start in range(0, len(weight), step):
        part = slice(start, start + step)
        steps = (weight[part].float() / scale[part, None].float()).round_()
        whole[part] = steps.clamp_(-127, 127)
    return Codes(whole, scale)


def quantise_4bit(weight: torch.Tensor, dtype: torch.dtype | None = None) -> Codes:
    """Weight float [out, in] to uint8 [out, in / 2] and scale [out, in / group] in a dtype, the weight's.

    Each weight becomes the nearest of `NORMAL_LEVELS` times its group's scale. ValueError for an odd row.
    """
    weight = weight.detach()
    out, inner = weight.shape
    group = group_of(inner)
    packed = torch.empty(out, inner // 2, dtype=torch.uint8, device=weight.device)
    largest = weight.view(out, -1, group).abs().amax(2).float()
    scale = largest.clamp_min(1e-30).to(dtype or weight.dtype)
    levels = torch.tensor(NORMAL_LEVELS, device=weight.device)
    middles = (levels[1:] + levels[:-1]) / 2
    step = max(1, SLICE_BYTES // (4 * inner))
    for start in range(0, out, step):
        part = slice(start, start + step)
        shares = weight[part].float().view(-1, inner // group, group) / scale[part, :, None].float()
        index = torch.bucketize(shares, middles).to(torch.uint8).view(-1, inner // 2, 2)
        packed[part] = index[..., 0] * 16 + index[..., 1]
    return Codes(packed, scale)


def group_of(inner: int) -> int:
    """Weights that share a scale in rows of this length: GROUP, or the largest even part of it that divides.

    ValueError for rows of odd length.
    """
    if inner % 2:
        raise ValueError(f"int4: a row of {inner} weights can't be kept in pairs; take int8")
    return next(group for group in range(GROUP, 0, -2) if inner % group == 0)
