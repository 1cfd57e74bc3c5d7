"""Every route through attention gives what one explicit mask over the stream gives."""

import pytest
import torch

from tessera.nn.attention import attend, dense_attention, reference_attention
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Packed, Paged

LENGTHS = [(5,), (3, 3, 3), (1, 7, 2, 2, 9)]


def _stream(total: int, heads: int, kv_heads: int, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(total)
    return [torch.randn(total, h, 8, generator=generator).to(dtype) for h in (heads, kv_heads, kv_heads)]


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_packed_equals_the_explicit_mask(lengths: tuple[int, ...], kv_heads: int) -> None:
    layout = Packed(lengths)
    query, key, value = _stream(layout.total, 4, kv_heads)
    torch.testing.assert_close(
        attend(query, key, value, layout), reference_attention(query, key, value, layout)
    )


@pytest.mark.parametrize("page_size", [4, 32])
def test_cached_pieces_equal_the_whole(page_size: int) -> None:
    lengths = (11, 6)
    query, key, value = _stream(17, 4, 2)
    whole = reference_attention(query, key, value, Packed(lengths))
    per_sequence = -(-max(lengths) // page_size)
    pages = (tuple(range(per_sequence)), tuple(range(per_sequence, 2 * per_sequence)))
    cache = KVCache(1, 2 * per_sequence, page_size, 2, 8)
    starts = (0, 11)
    done = [0, 0]
    for step in (
        (7, 5),
        (3, 1),
        (1, 0),
    ):  # prefill, several rows, one row; the second sequence finishes early
        live = [i for i in (0, 1) if step[i]]
        rows = torch.cat([torch.arange(starts[i] + done[i], starts[i] + done[i] + step[i]) for i in live])
        layout = Paged(
            tuple(step[i] for i in live), tuple(done[i] for i in live), tuple(pages[i] for i in live)
        )
        got = attend(query[rows], key[rows], value[rows], layout, cache)
        torch.testing.assert_close(got, whole[rows])
        for i in live:
            done[i] += step[i]
    assert done == [11, 6]


def test_plain_products_of_bfloat16_training_agree_with_sdpa() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 4, 30, 16, generator=generator).bfloat16() for _ in range(3))
    with torch.no_grad():
        expected = dense_attention(query, key, value, causal=True)
    trained = dense_attention(query.requires_grad_(), key, value, causal=True)
    torch.testing.assert_close(trained, expected, atol=2e-2, rtol=2e-2)


def test_a_sequence_that_outgrows_its_pages_is_an_error() -> None:
    cache = KVCache(1, 1, 4, 1, 8)
    query, key, value = _stream(5, 1, 1)
    with pytest.raises(ValueError, match="give the sequence more pages"):
        attend(query, key, value, Paged((5,), (0,), ((0,),)), cache)


def test_layouts_refuse_empty_sequences() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Packed((3, 0))
    with pytest.raises(ValueError, match="must agree"):
        Paged((1, 1), (0,), ((0,), (1,)))
