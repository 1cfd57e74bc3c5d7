"""A decoder's step for the newest token of every sequence, as a graph can record it: no size, no pointer and
no branch of it depends on how long the sequences are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import nn
from torch.nn import functional as F

from tessera.nn.attention.cache import KVCache
from tessera.nn.decoding import BlockParts
from tessera.nn.norm import RMSNorm

WIDEST_HEAD = 256
FIRST_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class RecordedTokens:
    """Of B sequences that all answer: tables [B, 1, C] that turn their newest tokens; int64 [B], where in the
    cache those go; int32 [B, P], pages in order; int32 [B], tokens in the cache with the newest."""

    tables: tuple[torch.Tensor, torch.Tensor]
    slots: torch.Tensor
    pages: torch.Tensor
    seen: torch.Tensor


@dataclass(frozen=True)
class StreamedBlock:
    """A block's weights, those that read the same states side by side: q, k, v, and gate, up."""

    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    out: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor
    norms: tuple[RMSNorm, RMSNorm]
    head_norms: tuple[torch.Tensor, torch.Tensor, float] | None

    @classmethod
    def of(cls, parts: BlockParts) -> StreamedBlock:
        """The modules' weights become views of those that are laid together: no second copy stays."""
        q, k, v, out, gate, up, down = parts.linears
        qkv, bias = _side_by_side([q, k, v])
        heads = parts.head_norms
        norms = None if heads is None else (heads[0].weight.data, heads[1].weight.data, heads[0].eps)
        rest = (_weight(out), _side_by_side([gate, up])[0], _weight(down))
        return cls(qkv, bias, *rest, parts.norms, norms)


def why_not_streamed(parts: Sequence[BlockParts], head_width: int) -> str:
    """What of these blocks the kernels can't compute; empty for plain weights of one dtype on one recent
    CUDA device, where Triton is."""
    if not parts:
        return "a block has experts, a window or sinks"
    linears = [linear for each in parts for linear in each.linears]
    other = next((linear for linear in linears if type(linear) is not nn.Linear), None)
    if other is not None:
        return f"a linear is {type(other).__name__}: open the model without few bits and adapters beside it"
    held = [_weight(linear) for linear in linears] + [n.weight for each in parts for n in each.norms]
    if len({(weight.dtype, weight.device) for weight in held}) > 1:
        return "its weights have several dtypes or lie on several devices"
    if any(linear.bias is not None for each in parts for linear in each.linears[3:]):
        return "a product behind attention has a bias"
    if head_width % 2 or head_width > WIDEST_HEAD:
        return f"its heads are {head_width} wide: even numbers up to {WIDEST_HEAD} are known"
    device = held[0].device
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < FIRST_CAPABILITY:
        return f"it lies on {device}: a CUDA device of capability 8.0 or more is needed"
    return "" if find_spec("triton") else "Triton is not installed; PyTorch for CUDA brings it"


def newest_states(
    x: torch.Tensor, blocks: Sequence[StreamedBlock], tokens: RecordedTokens, cache: KVCache
) -> torch.Tensor:
    """States [B, D] of the newest tokens through all blocks; their keys and values are cached."""
    for layer, block in enumerate(blocks):
        x = _block(x, block, tokens, cache.keys[layer], cache.values[layer])
    return x


def streamed_product(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    norm: RMSNorm | None = None,
    residual: torch.Tensor | None = None,
    gate: bool = False,
) -> torch.Tensor:
    """x [B, in], normed, by weight [out, in]; added to `residual` [B, out], or gated to [B, out / 2]."""
    from tessera.nn.cuda import kernels

    scale = None if norm is None else (norm.weight, norm.eps)
    if len(x) <= kernels.FEW:
        return kernels.product(x, weight, bias, scale, gate, residual)
    if scale is not None:
        x = kernels.normed(x, *scale)
    if residual is not None:
        return torch.addmm(residual, x, weight.T)
    out = F.linear(x, weight, bias)
    return kernels.gated(out) if gate else out


def _block(
    x: torch.Tensor, block: StreamedBlock, tokens: RecordedTokens, keys: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    from tessera.nn.cuda import kernels

    qkv = streamed_product(x, block.qkv, block.qkv_bias, block.norms[0])
    query = kernels.place(qkv, tokens.tables, tokens.slots, keys, values, block.head_norms)
    seen = kernels.attention(query, keys, values, tokens.pages, tokens.seen)
    x = streamed_product(seen.flatten(1), block.out, residual=x)
    inner = streamed_product(x, block.gate_up, norm=block.norms[1], gate=True)
    return streamed_product(inner, block.down, residual=x)


def _weight(linear: nn.Module) -> torch.Tensor:
    weight: torch.Tensor = linear.weight.data  # type: ignore[assignment]
    return weight


@torch.no_grad()
def _side_by_side(linears: Sequence[nn.Module]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weights and biases of linears one below the other, once."""
    weights = [_weight(linear) for linear in linears]
    whole = _base_of(weights)
    if whole is None:
        whole = torch.cat(weights)
        for linear, part in zip(linears, whole.split([len(each) for each in weights]), strict=True):
            linear.weight.data = part
    biases = [linear.bias for linear in linears if isinstance(linear.bias, torch.Tensor)]
    return whole, torch.cat([bias.data for bias in biases]) if biases else None


def _base_of(weights: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """The tensor whose parts they are already."""
    first, rows = weights[0], sum(map(len, weights))
    place = first.data_ptr()
    for each in weights:
        if each.data_ptr() != place or not each.is_contiguous():
            return None
        place += each.numel() * each.element_size()
    if first.untyped_storage().nbytes() < place - first.untyped_storage().data_ptr():
        return None
    return first.as_strided((rows, first.shape[1]), (first.shape[1], 1))
