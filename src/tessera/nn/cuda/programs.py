"""What runs on the device: Triton programs behind the functions of `kernels`, which say what shapes mean.

A program rounds to the tensors' dtype where the module that it stands for does. Names in capitals are known
when it is compiled.
"""

from typing import Any

import triton
import triton.language as tl


@triton.jit
def _root_mean(values: Any, width: Any, eps: Any) -> Any:
    """One over it."""
    return 1.0 / tl.sqrt(tl.sum(values * values, axis=-1) / width + eps)


@triton.jit
def norm(x: Any, weight: Any, out: Any, width: Any, eps: Any, BLOCK: tl.constexpr) -> None:
    """A row of `kernels.normed`."""
    at = tl.arange(0, BLOCK)
    inside = at < width
    start = tl.program_id(0) * width
    values = tl.load(x + start + at, mask=inside, other=0.0).to(tl.float32)
    scaled = (values * _root_mean(values, width, eps)).to(out.dtype.element_ty)
    tl.store(out + start + at, scaled * tl.load(weight + at, mask=inside), mask=inside)


@triton.jit
def _silu_times(gate: Any, up: Any, kind: tl.constexpr) -> Any:
    """float32 numbers, rounded to `kind` where the modules round."""
    gate = gate.to(kind).to(tl.float32)
    return (gate / (1.0 + tl.exp(-gate))).to(kind).to(tl.float32) * up.to(kind).to(tl.float32)


@triton.jit
def gate(x: Any, out: Any, inner: Any, BLOCK: tl.constexpr) -> None:
    """A piece of a row of `kernels.gated`."""
    row = tl.program_id(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < inner
    gate = tl.load(x + 2 * row * inner + at, mask=inside).to(tl.float32)
    up = tl.load(x + (2 * row + 1) * inner + at, mask=inside).to(tl.float32)
    tl.store(out + row * inner + at, _silu_times(gate, up, out.dtype.element_ty), mask=inside)


@triton.jit
def _scales(
    x: Any, tokens: Any, real: Any, inner: Any, eps: Any, COUNT: tl.constexpr, BLOCK: tl.constexpr
) -> Any:
    """One over the root mean square of each row."""
    sums = tl.zeros([COUNT], tl.float32)
    for start in range(0, inner, BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = real & (at < inner)[None, :]
        states = tl.load(x + tokens[:, None] * inner + at[None, :], mask=inside, other=0.0).to(tl.float32)
        sums += tl.sum(states * states, axis=1)
    return 1.0 / tl.sqrt(sums / inner + eps)


@triton.jit
def product(
    x: Any,
    norm: Any,
    weight: Any,
    bias: Any,
    residual: Any,
    out: Any,
    inner: Any,
    outer: Any,
    eps: Any,
    GIVEN: tl.constexpr,
    COUNT: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    NORMED: tl.constexpr,
    BIASED: tl.constexpr,
    ADDED: tl.constexpr,
    GATED: tl.constexpr,
) -> None:
    """ROWS channels of `kernels.product` for all tokens."""
    kind: tl.constexpr = out.dtype.element_ty
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    tokens = tl.arange(0, COUNT)
    columns = tl.arange(0, BLOCK)
    real = (tokens < GIVEN)[:, None]
    if NORMED:
        scale = _scales(x, tokens, real, inner, eps, COUNT, BLOCK)
    sums = tl.zeros([COUNT, ROWS], tl.float32)
    others = tl.zeros([COUNT, ROWS], tl.float32)
    for start in range(0, inner, BLOCK):
        at = start + columns
        inside = (rows < outer)[:, None] & (at < inner)[None, :]
        places = weight + rows.to(tl.int64)[:, None] * inner + at[None, :]
        tile = tl.load(places, mask=inside, other=0.0).to(tl.float32)
        states = tl.load(
            x + tokens[:, None] * inner + at[None, :], mask=real & (at < inner)[None, :], other=0.0
        )
        if NORMED:
            by = tl.load(norm + at, mask=at < inner, other=0.0)
            states = (states.to(tl.float32) * scale[:, None]).to(kind) * by[None, :]
        states = states.to(tl.float32)
        sums += tl.sum(tile[None, :, :] * states[:, None, :], axis=2)
        if GATED:
            second = tl.load(places + outer.to(tl.int64) * inner, mask=inside, other=0.0).to(tl.float32)
            others += tl.sum(second[None, :, :] * states[:, None, :], axis=2)
    if BIASED:
        sums += tl.load(bias + rows, mask=rows < outer, other=0.0).to(tl.float32)[None, :]
    if GATED:
        sums = _silu_times(sums, others, kind)
    ends = tokens[:, None] * outer + rows[None, :]
    inside = real & (rows < outer)[None, :]
    if ADDED:
        sums = sums.to(kind).to(tl.float32) + tl.load(residual + ends, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + ends, sums.to(kind), mask=inside)


@triton.jit
def place(
    qkv: Any,
    cosine: Any,
    sine: Any,
    query_norm: Any,
    key_norm: Any,
    slots: Any,
    query: Any,
    keys: Any,
    values: Any,
    eps: Any,
    HEADS: tl.constexpr,
    GROUPS: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    NORMED: tl.constexpr,
) -> None:
    """A head of a token of `kernels.place`."""
    token, head = tl.program_id(0), tl.program_id(1)
    kind: tl.constexpr = query.dtype.element_ty
    half: tl.constexpr = WIDTH // 2
    low = tl.arange(0, BLOCK)
    inside = low < half
    high = low + half
    start = qkv + (token * (HEADS + 2 * GROUPS) + head) * WIDTH
    first = tl.load(start + low, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(start + high, mask=inside, other=0.0).to(tl.float32)
    slot = tl.load(slots + token)
    if head >= HEADS + GROUPS:
        to = values + (slot * GROUPS + head - HEADS - GROUPS) * WIDTH
    elif head >= HEADS:
        to = keys + (slot * GROUPS + head - HEADS) * WIDTH
    else:
        to = query + (token * HEADS + head) * WIDTH
    if head < HEADS + GROUPS:
        if NORMED:
            scale = 1.0 / tl.sqrt((tl.sum(first * first) + tl.sum(second * second)) / WIDTH + eps)
            by = key_norm if head >= HEADS else query_norm
            first = (first * scale).to(kind) * tl.load(by + low, mask=inside, other=0.0)
            second = (second * scale).to(kind) * tl.load(by + high, mask=inside, other=0.0)
            first, second = first.to(tl.float32), second.to(tl.float32)
        turn = token * WIDTH
        cos_low = tl.load(cosine + turn + low, mask=inside, other=0.0).to(tl.float32)
        cos_high = tl.load(cosine + turn + high, mask=inside, other=0.0).to(tl.float32)
        sin_low = tl.load(sine + turn + low, mask=inside, other=0.0).to(tl.float32)
        sin_high = tl.load(sine + turn + high, mask=inside, other=0.0).to(tl.float32)
        turned = (first * cos_low).to(kind).to(tl.float32) + second * sin_low
        second = (second * cos_high).to(kind).to(tl.float32) + first * sin_high
        first = turned
    tl.store(to + low, first.to(kind), mask=inside)
    tl.store(to + high, second.to(kind), mask=inside)


@triton.jit
def attend(
    query: Any,
    keys: Any,
    values: Any,
    table: Any,
    seen: Any,
    parts: Any,
    peaks: Any,
    totals: Any,
    stride: Any,
    heat: Any,
    PAGE: tl.constexpr,
    GROUPS: tl.constexpr,
    SHARE: tl.constexpr,
    WIDTH: tl.constexpr,
    SPLITS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Heads that share a group, over a piece of a sequence, of `kernels.attention`."""
    token, group, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    length = tl.load(seen + token)
    span = tl.cdiv(tl.cdiv(length, SPLITS), BLOCK) * BLOCK
    first = split * span
    last = tl.minimum(first + span, length)
    rows, columns = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    asks = (rows < SHARE)[:, None] & (columns < WIDTH)[None, :]
    heads = (token * GROUPS + group) * SHARE + rows
    asking = tl.load(query + heads[:, None] * WIDTH + columns[None, :], mask=asks, other=0.0)
    peak = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    mean = tl.zeros([ROWS, COLUMNS], tl.float32)
    for start in range(first, last, BLOCK):
        at = start + tl.arange(0, BLOCK)
        known = at < last
        pages = tl.load(table + token * stride + at // PAGE, mask=known, other=0).to(tl.int64)
        slots = (pages * PAGE + at % PAGE) * GROUPS + group
        inside = known[:, None] & (columns < WIDTH)[None, :]
        lines = slots[:, None] * WIDTH + columns[None, :]
        key = tl.load(keys + lines, mask=inside, other=0.0)
        scores = tl.dot(asking, tl.trans(key), input_precision="ieee") * heat
        scores = tl.where(known[None, :], scores, float("-inf"))
        higher = tl.maximum(peak, tl.max(scores, axis=1))
        weights = tl.exp(scores - higher[:, None])
        fading = tl.exp(peak - higher)
        total = total * fading + tl.sum(weights, axis=1)
        value = tl.load(values + lines, mask=inside, other=0.0)
        added = tl.dot(weights.to(value.dtype), value, input_precision="ieee")
        mean = mean * fading[:, None] + added
        peak = higher
    lines = heads * SPLITS + split
    tl.store(parts + lines[:, None] * WIDTH + columns[None, :], mean, mask=asks)
    tl.store(peaks + lines, peak, mask=rows < SHARE)
    tl.store(totals + lines, total, mask=rows < SHARE)


@triton.jit
def combine(
    parts: Any,
    peaks: Any,
    totals: Any,
    out: Any,
    WIDTH: tl.constexpr,
    SPLITS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """A head of a token: its pieces as one."""
    head = tl.program_id(0)
    splits, columns = tl.arange(0, SPLITS), tl.arange(0, COLUMNS)
    peak = tl.load(peaks + head * SPLITS + splits)
    best = tl.max(peak)
    share = tl.where(peak == float("-inf"), 0.0, tl.exp(peak - best))
    total = tl.sum(share * tl.load(totals + head * SPLITS + splits))
    lines = (head * SPLITS + splits)[:, None] * WIDTH + columns[None, :]
    pieces = tl.load(parts + lines, mask=(columns < WIDTH)[None, :], other=0.0)
    mean = tl.sum(pieces * share[:, None], axis=0) / tl.where(total == 0.0, 1.0, total)
    tl.store(out + head * WIDTH + columns, mean.to(out.dtype.element_ty), mask=columns < WIDTH)
