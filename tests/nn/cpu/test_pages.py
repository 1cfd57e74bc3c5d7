"""Large pages: a matter of speed. Held here is what is asked of the system, and that numbers stay."""

from __future__ import annotations

import ctypes
import sys

import pytest
import torch

from tessera.nn.cpu import pages
from tessera.nn.cpu.pages import into_large_pages


def test_the_numbers_stay() -> None:
    weight = torch.arange(2**24, dtype=torch.int32).to(torch.int8)
    part, place = weight[5:-3], weight.data_ptr()
    into_large_pages(part)
    assert weight.data_ptr() == place
    assert torch.equal(weight, torch.arange(2**24, dtype=torch.int32).to(torch.int8))


@pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux's")
def test_all_pages_that_a_weight_has_a_part_in_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system then does is its matter: it may have no large pages to give, or have given some."""
    asked: list[tuple[int, int, int]] = []

    class System:
        def madvise(self, start: ctypes.c_void_p, length: ctypes.c_size_t, advice: int) -> int:
            asked.append((start.value or 0, length.value, advice))
            return 0

    monkeypatch.setattr(pages.ctypes, "CDLL", lambda _: System())
    weight = torch.ones(2**23 + 5, dtype=torch.int8)[3:]
    into_large_pages(weight)
    ((start, length, advice),) = asked
    assert advice == pages.COLLAPSE and start % pages.LARGE == length % pages.LARGE == 0
    end = weight.data_ptr() + weight.nbytes
    assert start <= weight.data_ptr() < start + pages.LARGE
    assert start + length - pages.LARGE < end <= start + length


def test_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(name: str | None) -> None:
        raise AssertionError("the system was asked")

    monkeypatch.setattr(pages.ctypes, "CDLL", never)
    into_large_pages(torch.ones(2**10, dtype=torch.int8))
    into_large_pages(torch.ones(2**20, dtype=torch.int8, device="meta"))
    monkeypatch.setattr(sys, "platform", "darwin")
    into_large_pages(torch.ones(2**20, dtype=torch.int8))
