"""Rotary position embedding from float positions, half-split rotation; its extensions to long contexts."""

import math

import torch

from tessera.nn.cpu import native
from tessera.nn.cpu.native import takes_pieces
from tessera.nn.rope_scaling import RopeScaling


def rotary_tables(
    positions: torch.Tensor,
    head_dim: int,
    theta: float,
    scaling: RopeScaling | None = None,
    reach: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine, float32 `[T, 1, C]`, for float or integer positions `[T]`.

    Angles are `position * f_j` with `f_j = theta^(-2j/C)`, repeated for the two halves; the first half of the
    sine is negated, which is the sign that `rotate` needs there. Fractional positions are V2PE's.

    `scaling` changes `f_j` (docs/facts/models.md; transformers' `modeling_rope_utils`): linear divides by the
    factor; llama3 and yarn divide slow channels, keep fast ones and blend between; dynamic raises theta to
    `theta * (factor * reach / trained - factor + 1)^(C / (C - 2))` and longrope divides by its long instead
    of its short factors once `reach` exceeds the trained length. `reach` float `[T]` is the length, in
    positions, of the sequence that a token belongs to; None means within the trained length.
    """
    steps = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    if scaling is None:
        frequencies = 1.0 / theta**steps  # [C/2]
    else:
        frequencies = _scaled(steps, theta, scaling, None if reach is None else reach.float()[:, None, None])
    angles = positions.float()[:, None, None] * frequencies  # [T, 1, C/2]
    cosine, sine = angles.cos(), angles.sin()
    if scaling is not None and scaling.amplitude != 1.0:
        cosine, sine = cosine * scaling.amplitude, sine * scaling.amplitude
    return torch.cat((cosine, cosine), dim=-1), torch.cat((-sine, sine), dim=-1)


def _scaled(
    steps: torch.Tensor, theta: float, scaling: RopeScaling, reach: torch.Tensor | None
) -> torch.Tensor:
    """Frequencies [C/2], or [T, 1, C/2] where they follow `reach` [T, 1, 1]."""
    periods = theta**steps
    match scaling.kind:
        case "linear":
            return 1.0 / periods / scaling.factor
        case "llama3":
            return _llama3(1.0 / periods, scaling)
        case "yarn":
            return _yarn(periods, theta, scaling)
        case "dynamic":
            return 1.0 / (periods if reach is None else _dynamic(steps, theta, scaling, reach))
        case "longrope":
            return 1.0 / (periods * _longrope(periods, scaling, reach))


def _dynamic(steps: torch.Tensor, theta: float, scaling: RopeScaling, reach: torch.Tensor) -> torch.Tensor:
    channels = 2 * len(steps)
    growth = scaling.factor * reach / scaling.trained_length - (scaling.factor - 1)
    longer = reach > scaling.trained_length
    base = theta * torch.where(longer, growth, 1.0) ** (channels / (channels - 2))
    return base**steps


def _longrope(periods: torch.Tensor, scaling: RopeScaling, reach: torch.Tensor | None) -> torch.Tensor:
    short = periods.new_tensor(scaling.short_factor)
    if reach is None:
        return short
    return torch.where(reach > scaling.trained_length, periods.new_tensor(scaling.long_factor), short)


def _llama3(frequencies: torch.Tensor, scaling: RopeScaling) -> torch.Tensor:
    """Channels that turn fewer than `low` times in the trained length are slowed, above `high` they stay."""
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    turns = scaling.trained_length * frequencies / (2 * math.pi)
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - kept) * frequencies / scaling.factor + kept * frequencies


def _yarn(periods: torch.Tensor, theta: float, scaling: RopeScaling) -> torch.Tensor:
    """As llama3, but the blend is linear in the channel; `truncate` rounds its ends outwards."""
    channels = 2 * len(periods)

    def channel_of(turns: float) -> float:
        span = scaling.trained_length / (turns * 2 * math.pi)
        return channels * math.log(span) / (2 * math.log(theta))

    low, high = channel_of(scaling.beta_fast), channel_of(scaling.beta_slow)
    if scaling.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, channels - 1)
    places = torch.arange(len(periods), dtype=torch.float32, device=periods.device)
    slowed = ((places - low) / max(high - low, 0.001)).clamp(0, 1)
    return slowed / (scaling.factor * periods) + (1 - slowed) / periods


def rotate(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Turn `x` [T, H, C] by the tables of `rotary_tables`; dtype of `x` is kept."""
    if takes_pieces(x) and cosine.dtype == x.dtype:
        return native.rotate(x, cosine, sine)
    halves_swapped = x.roll(x.shape[-1] // 2, dims=-1)
    return torch.addcmul(x * cosine.to(x.dtype), halves_swapped, sine.to(x.dtype))
