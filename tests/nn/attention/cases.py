"""What every kernel must do, on whatever device: the reference's numbers and gradients, packed and cached."""

from __future__ import annotations

from itertools import accumulate, pairwise

import torch

from tessera.nn.attention.api import REFERENCE, Kernel, attend
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Layout, Packed, Paged

WIDTH = 16
TOLERANCE = {torch.float32: (1e-5, 5e-5), torch.bfloat16: (2e-2, 4e-2), torch.float16: (5e-3, 1e-2)}
"""Of results and of gradients."""


def streams(total: int, heads: int, groups: int, dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    """Query, key and value, rounded to `dtype` but float32, on a device."""
    generator = torch.Generator().manual_seed(total)
    shapes = [(total, each, WIDTH) for each in (heads, groups, groups)]
    return [torch.randn(shape, generator=generator).to(dtype).float().to(device) for shape in shapes]


def check_stream(
    kernel: Kernel | None,
    layout: Layout,
    heads: int = 4,
    groups: int = 2,
    rows: torch.Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> None:
    """Results and gradients of a stream without a past are the reference's in float32."""
    exact = [x.requires_grad_() for x in streams(layout.total, heads, groups, dtype, device)]
    rounded = [x.detach().to(dtype).requires_grad_() for x in exact]
    rows = None if rows is None else rows.to(device)
    found = []
    for inputs, who in ((exact, REFERENCE), (rounded, kernel)):
        query = inputs[0] if rows is None else inputs[0][rows]
        out = attend(query, *inputs[1:], layout, rows=rows, kernel=who)
        weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(3)).to(device)
        gradients = torch.autograd.grad((out.float() * weight).sum(), inputs)
        found.append([out, *gradients])
    forward, backward = TOLERANCE[dtype]
    for number, (wanted, got) in enumerate(zip(*found, strict=True)):
        rough = backward if number else forward
        assert got.dtype == dtype
        torch.testing.assert_close(got.float(), wanted, atol=rough, rtol=rough)


def check_cached(
    kernel: Kernel | None,
    page_size: int,
    groups: int = 2,
    last: bool = False,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> None:
    """Sequences that come in pieces, one of them done early, give what they give as a whole."""
    lengths = (11, 6)
    query, key, value = streams(sum(lengths), 4, groups, dtype, device)
    whole = attend(query, key, value, Packed(lengths), kernel=REFERENCE)
    needed = [-(-length // page_size) for length in lengths]
    pages = [tuple(reversed(range(*each))) for each in pairwise(accumulate(needed, initial=0))]
    cache = KVCache(3, sum(needed), page_size, groups, WIDTH, dtype, device)
    done = [0, 0]
    for step in ((7, 5), (3, 1), (1, 0)):  # prefill, several tokens, one
        live = [i for i in (0, 1) if step[i]]
        spans = [range(11 * i + done[i], 11 * i + done[i] + step[i]) for i in live]
        places = torch.tensor([place for span in spans for place in span], device=device)
        layout = Paged(*(tuple(each[i] for i in live) for each in (step, done, pages)))  # type: ignore[arg-type]
        rows = layout.ends(places.device) if last else None
        asked = places if rows is None else places[rows]
        inputs = [x.to(dtype) for x in (query[asked], key[places], value[places])]
        with torch.inference_mode():
            got = attend(*inputs, layout, cache, 1, rows, kernel)
        rough = TOLERANCE[dtype][0]
        torch.testing.assert_close(got.float(), whole[asked], atol=rough, rtol=rough)
        done = [before + new for before, new in zip(done, step, strict=True)]
    assert done == [11, 6]
