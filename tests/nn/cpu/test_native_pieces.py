"""What stands between the products of a decoder, by our own kernels: PyTorch's numbers, to a rounding."""

from __future__ import annotations

import pytest
import torch

from tessera.nn.attention.api import REFERENCE, attend
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Paged
from tessera.nn.cpu import native
from tessera.nn.cpu.native import takes_pieces
from tessera.nn.mlp import GatedMLP
from tessera.nn.norm import RMSNorm
from tessera.nn.rope import rotary_tables, rotate


@pytest.fixture(autouse=True)
def compiled() -> None:
    """Skips where there is no compiler."""
    if reason := native.why_not():
        pytest.skip(reason)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


def check(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal but for few that were rounded the other way."""
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    assert (ours == theirs).float().mean() > 0.98
    torch.testing.assert_close(ours, theirs, rtol=2**-7, atol=1e-3)


def test_norm() -> None:
    layer = RMSNorm(96, 1e-5).bfloat16()
    layer.weight.data = noise(96, seed=1)
    for x in (noise(5, 96) * 30, noise(3, 7, 2, 96).transpose(0, 1), torch.zeros(1, 96).bfloat16()):
        with torch.no_grad():
            theirs = layer(x)
        with torch.inference_mode():
            assert takes_pieces(x)
            check(layer(x), theirs)


@pytest.mark.parametrize("width", [32, 128])
def test_rotate(width: int) -> None:
    tables = rotary_tables(torch.tensor([0.0, 3.25, 7000.0]), width, 1e6)
    x = noise(3, 5, width)
    for cosine, sine in (tables, tuple(table.bfloat16() for table in tables)):
        theirs = rotate(x, cosine, sine)
        with torch.inference_mode():
            check(rotate(x, cosine, sine), theirs)


def test_gate() -> None:
    x, up = noise(6, 64) * 5, noise(6, 64, seed=1)
    x[0, :4] = torch.tensor([300.0, -300.0, 0.0, -0.0])
    check(native.gate(x, up), torch.nn.functional.silu(x) * up)
    x[0, 4:6] = torch.tensor([float("nan"), float("inf")])
    got = native.gate(x, up)
    assert got[0, 4].isnan() and got[0, 5].isinf() and got[1:].isfinite().all()
    with pytest.raises(ValueError, match="rows of 44"):
        native.gate(x[:, :44], up[:, :44])


@pytest.mark.parametrize("inner", [96, 44])
def test_a_gated_block(inner: int) -> None:
    """44 is no multiple of a vector: the kernel wrote behind the end of its result."""
    block, x = GatedMLP(64, inner).bfloat16(), noise(4, 64)
    with torch.no_grad():
        theirs = block(x)
    with torch.inference_mode():
        torch.testing.assert_close(block(x), theirs, rtol=2**-6, atol=2e-3)


@pytest.mark.parametrize(("heads", "groups", "width"), [(14, 2, 64), (4, 4, 32), (5, 1, 96), (16, 8, 128)])
@pytest.mark.parametrize("page_size", [1, 16, 64])
def test_the_newest_tokens_of_a_cache(heads: int, groups: int, width: int, page_size: int) -> None:
    """Among new prompts, behind pasts of all lengths, in scattered pages: the reference's in float32."""
    contexts, lengths = (0, 40, 17, 130, 5), (1, 1, 6, 1, 3)
    generator = torch.Generator().manual_seed(1)
    pages, free = [], torch.randperm(400, generator=generator).tolist()
    for context, new in zip(contexts, lengths, strict=True):
        pages.append(tuple(free.pop() for _ in range(-(-(context + new) // page_size))))
    layout = Paged(lengths, contexts, tuple(pages))
    found = []
    for dtype, kernel in ((torch.float32, REFERENCE), (torch.bfloat16, None)):
        cache = KVCache(1, 400, page_size, groups, width, dtype)
        for pool, seed in ((cache.keys[0], 2), (cache.values[0], 3)):
            pool.copy_(noise(*pool.shape, seed=seed))
        query, key, value = (noise(12, n, width, seed=n).to(dtype) for n in (heads, groups, groups))
        with torch.inference_mode():
            found.append(attend(query, key, value, layout, cache, kernel=kernel).float())
            if kernel is None:
                alone = Paged((1,), (130,), (pages[3],))
                place = slice(8, 9)
                again = attend(query[place], key[place], value[place], alone, cache)
                assert torch.equal(again.float(), found[1][place]), "a sequence's result is its own"
    torch.testing.assert_close(found[1], found[0], rtol=2e-2, atol=2e-2)


def test_scores_that_are_not_finite_are_told() -> None:
    cache = KVCache(1, 2, 16, 1, 32, torch.bfloat16)
    for pool in (*cache.keys, *cache.values):
        pool.copy_(noise(*pool.shape))
    cache.keys[0][0, 3] = float("nan")
    layout = Paged((1, 1), (9, 9), ((0,), (1,)))
    new = noise(2, 1, 32)
    with torch.inference_mode():
        got = attend(noise(2, 3, 32), new, new, layout, cache)
    assert got[0].isnan().any() and got[1].isfinite().all()


def test_only_few_rows_in_inference() -> None:
    with torch.inference_mode():
        assert takes_pieces(noise(4, 64))
        assert not takes_pieces(noise(4, 64).float())
        assert not takes_pieces(noise(4, 40)) and not takes_pieces(noise(0, 64))
        assert not takes_pieces(noise(1, 1).expand(2**13, 64))
    assert not takes_pieces(noise(4, 64))
