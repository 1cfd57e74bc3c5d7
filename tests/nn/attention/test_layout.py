"""What a layout says, by hand; and a new kind of attention in one class."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from tessera.nn.attention.api import REFERENCE, attend
from tessera.nn.attention.layout import Branched, Layout, Packed, Paged
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


def test_answers_to_one_prompt() -> None:
    layout = Branched.of((5, 2), ((1, 2), ()))
    assert (layout.lengths, layout.roots) == ((2, 1, 2, 2), (0, 0, 0, 3))
    assert layout.positions().tolist() == [0, 1, 2, 2, 3, 0, 1], "each answer begins where the prompt ended"
    assert layout.before().tolist() == [-1, 0, 1, 1, 3, -1, 5]
    assert Packed((2, 1)).before().tolist() == [-1, 0, -1]
    assert layout.key_rows(HERE).tolist() == [0, 1, 0, 1, 2, 0, 1, 3, 4, 5, 6]
    assert layout.key_bounds == ((0, 2), (2, 5), (5, 9), (9, 11))
    assert layout.allowed(HERE)[4].int().tolist() == [0] * 5 + [1] * 4 + [0] * 2
    assert layout.seen == int(layout.allowed(HERE).sum()) == 16
    for lengths, roots in (((2, 1), (0,)), ((2, 1, 1), (0, 0, 1)), ((1, 1), (0, 2))):
        with pytest.raises(ValueError, match=r"roots = \(0.* causal pieces"):
            Branched(lengths, roots)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 40])
def test_answers_see_what_they_would_see_alone(dtype: torch.dtype, size: int) -> None:
    """A prompt with two answers and a sequence without any, against each answer behind its own prompt."""
    prompt, first, second, other = 5 * size, 3 * size, 2 * size, 4 * size
    layout = Branched.of((prompt + first + second, other), ((first, second), ()))
    inputs = [x.to(dtype).requires_grad_() for x in streams(layout.total, 4, 2, dtype, "cpu")]
    cuts = torch.arange(layout.total).split(layout.lengths)
    apart = torch.cat([cuts[0], cuts[1], cuts[0], cuts[2], cuts[3]])
    alone = Packed((prompt + first, prompt + second, other))
    wanted = attend(*(x.detach().float()[apart] for x in inputs), alone, kernel=REFERENCE)
    wanted = torch.cat([wanted[: prompt + first], wanted[2 * prompt + first :]])
    found = attend(*inputs, layout)
    rough = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(found.float(), wanted, atol=rough, rtol=rough)
    rows = torch.tensor([prompt - 1, prompt + first - 1, layout.total - 1])
    few = attend(inputs[0][rows], *inputs[1:], layout, rows=rows)
    torch.testing.assert_close(few.float(), wanted[rows], atol=rough, rtol=rough)


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
