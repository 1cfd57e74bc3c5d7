"""Large pages: a matter of speed, of which nothing but the system's count may tell."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from tessera.nn.cpu import pages
from tessera.nn.cpu.pages import into_large_pages


def large() -> int:
    """KiB of this process that lie in large pages."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))


def test_the_numbers_stay() -> None:
    weight = torch.arange(2**24, dtype=torch.int32).to(torch.int8)
    part, place = weight[5:-3], weight.data_ptr()
    into_large_pages(part)
    assert weight.data_ptr() == place
    assert torch.equal(weight, torch.arange(2**24, dtype=torch.int32).to(torch.int8))


def test_they_lie_in_large_pages() -> None:
    if not Path("/proc/self/smaps_rollup").is_file():
        pytest.skip("the system doesn't tell")
    weight, before = torch.ones(2**24, dtype=torch.int8), large()
    into_large_pages(weight)
    if large() == before:
        pytest.skip("the system has no large pages to give")
    assert large() - before >= 2**13  # half of it, at the least


def test_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(name: str | None) -> None:
        raise AssertionError("the system was asked")

    monkeypatch.setattr(pages.ctypes, "CDLL", never)
    into_large_pages(torch.ones(2**10, dtype=torch.int8))
    into_large_pages(torch.ones(2**20, dtype=torch.int8, device="meta"))
    monkeypatch.setattr(sys, "platform", "darwin")
    into_large_pages(torch.ones(2**20, dtype=torch.int8))
