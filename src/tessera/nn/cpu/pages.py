"""Weights in large pages of memory.

A product with few rows reads a weight once from end to end. In pages of 4 KiB the processor looks up an
address every 64 lines, where its guesses at the next lines end; in pages of 2 MiB reading the weights of a 1B
model in int8 takes 0.8 of the time (benchmarks/results/decode_zen4-1core_202611.md).
"""

from __future__ import annotations

import ctypes
import sys

import torch

LARGE = 2**21
"""Bytes of a large page."""
LEAST = 2**18
"""Bytes of a weight from which it is worth a call of the system."""
COLLAPSE = 25
"""MADV_COLLAPSE of Linux 6.1: move what lies here into large pages now."""


def into_large_pages(weight: torch.Tensor) -> None:
    """Ask the system for it where there is Linux. The numbers stay what and where they are.

    Asked for are all large pages that the weight has a part in: weights lie one behind another, and most are
    no multiple of a page. A system that can't, or that has no room, leaves the weight as it is.
    """
    if sys.platform != "linux" or weight.device.type != "cpu" or weight.nbytes < LEAST:
        return
    start = weight.data_ptr() // LARGE * LARGE
    stop = -(-(weight.data_ptr() + weight.nbytes) // LARGE) * LARGE
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), COLLAPSE)
