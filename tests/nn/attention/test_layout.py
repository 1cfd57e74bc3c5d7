"""What a layout says, by hand; and a new kind of attention in one class."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from tessera.nn.attention.api import attend
from tessera.nn.attention.layout import Layout, Packed, Paged
from tests.nn.attention.cases import check_stream, streams

HERE = torch.device("cpu")


@dataclass(frozen=True)
class SharedPrompt(Layout):
    """The first sequence is seen by the others, which are blind to each other: answers to one prompt."""

    def allowed(self, device: torch.device) -> torch.Tensor:
        prompt = self.lengths[0]
        own = super().allowed(device)
        own[prompt:, :prompt] = True
        return own


def test_a_stream_without_a_past() -> None:
    layout = Packed((2, 3))
    assert layout.bounds == ((0, 2), (2, 5)) and layout.total == 5 and layout.key_lengths == (2, 3)
    assert layout.positions().tolist() == [0, 1, 0, 1, 2] and layout.positions().dtype == torch.float32
    assert layout.ends(HERE).tolist() == [1, 4]
    assert layout.cu_seqlens(HERE).tolist() == layout.cu_seqlens_k(HERE).tolist() == [0, 2, 5]
    assert layout.cu_seqlens(HERE) is layout.cu_seqlens(HERE), "made once for all layers"
    assert layout.allowed(HERE).int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 1],
    ]
    both = Packed((1, 2), causal=False).allowed(HERE).int().tolist()
    assert both == [[1, 0, 0], [0, 1, 1], [0, 1, 1]]


def test_sequences_with_a_past() -> None:
    layout = Paged((2, 1), (1, 2), ((5,), (3, 4)))
    assert layout.positions().tolist() == [1, 2, 2]
    assert layout.cu_seqlens(HERE).tolist() == [0, 2, 3] and layout.cu_seqlens_k(HERE).tolist() == [0, 3, 6]
    assert layout.cu_seqlens(HERE).dtype == layout.block_table(HERE).dtype == torch.int32
    assert layout.block_table(HERE).tolist() == [[5, 0], [3, 4]]
    assert layout.allowed(HERE).int().tolist() == [[1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
    assert layout.last == Paged((1, 1), (2, 2), layout.pages)
    assert torch.equal(layout.last.allowed(HERE), layout.allowed(HERE)[layout.ends(HERE)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_new_kind_is_one_class(dtype: torch.dtype) -> None:
    layout = SharedPrompt((4, 3, 2))
    check_stream(None, layout, dtype=dtype)
    check_stream(None, layout, rows=torch.tensor([1, 5, 8]), dtype=dtype)
    query, key, value = streams(9, 4, 2, torch.float32, "cpu")
    together = attend(query, key, value, layout)
    for answer in (range(4, 7), range(7, 9)):
        own = torch.tensor([*range(4), *answer])
        alone = attend(query[own], key[own], value[own], Packed((len(own),)))
        torch.testing.assert_close(together[own], alone)


def test_empty_sequences_and_uneven_entries_are_errors() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Packed((3, 0))
    with pytest.raises(ValueError, match="must agree"):
        Paged((1, 1), (0,), ((0,), (1,)))
