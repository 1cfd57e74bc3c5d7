"""What a process on a CPU keeps: code of products up to a bound, and freed memory till it gives that back."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tessera.runtime.device import CACHED_PRODUCTS, bound_product_caches, give_back_freed

NAMES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
GROWTH = """
import torch
from tessera.runtime.device import bound_product_caches

def resident():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

bound_product_caches()
start = resident()
with torch.no_grad():
    for rows in range(64, 64 + 600):
        torch.nn.functional.linear(*(torch.ones(n, 64, dtype=torch.bfloat16) for n in (rows, 64)))
print(resident() - start)
"""


def test_a_value_that_is_set_outside_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMES[0], "7")
    monkeypatch.delenv(NAMES[1], raising=False)
    bound_product_caches()
    assert [os.environ[name] for name in NAMES] == ["7", CACHED_PRODUCTS]


def test_products_of_many_shapes_take_little_memory() -> None:
    """The demo once took 3.1 GiB for a model of 5 M weights, as 1024 products were kept, twice.

    These 600 take 390 MiB where all are kept; on a CPU without bfloat16 products they take nothing.
    """
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    path = os.pathsep.join(p for p in sys.path if p)
    grown = subprocess.check_output([sys.executable, "-c", GROWTH], env=clean | {"PYTHONPATH": path})
    assert float(grown) < 250


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="no glibc")
def test_holes_between_tensors_that_stay_are_given_back() -> None:
    """They were 2.3 of 7.4 GiB that full training of a 1B shape took (docs/speed_of_training.md)."""
    tensors = [torch.ones(25_000) for _ in range(1000)]  # too small to be mapped each by itself
    stay = tensors[::20]
    del tensors
    before = _resident()
    give_back_freed()
    assert before - _resident() > 50e6
    assert all(tensor.sum() == 25_000 for tensor in stay)
