"""Device and dtype choice, what a device can do, and what a process on a CPU keeps: code of products, and
freed memory."""

import ctypes
import os
from functools import cache
from typing import Any

import torch

CACHED_PRODUCTS = "128"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PEAKS = {
    "B200": 2250.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10": 125.0,
}
"""TFLOP/s of dense products in bfloat16 by NVIDIA's data sheets; the first name that is found counts."""


def choose_device(name: str = "auto") -> torch.device:
    """`auto` takes the accelerator if there is one, else the CPU; any other name is torch's.

    Raises ValueError for what torch does not know and for a CUDA device that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device = {name!r} is no device: write auto, cpu, cuda or cuda:0") from error
    # torch.device takes any number; the error would come with the first tensor, long after.
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise ValueError(f"device = {name!r}: torch finds {count} CUDA devices here; write auto or cpu")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """A dtype by name. float16 on a CPU is refused: its products are sixteen times slower than bfloat16."""
    if name not in _DTYPES:
        raise ValueError(f"dtype = {name!r}: choose one of {', '.join(_DTYPES)}")
    if name == "float16" and device.type == "cpu":
        raise ValueError(
            "dtype = 'float16' on a CPU is many times slower than bfloat16: choose bfloat16 or float32"
        )
    return _DTYPES[name]


def bound_product_caches() -> None:
    """Keep compiled code of at most 128 products on a CPU; call it before the first product.

    oneDNN compiles code for each shape, and every pack, or step of a server, has shapes of its own. It keeps
    the last 1024, and so does ideep, PyTorch's layer above it: half of the 2 GiB that training of a 5 M model
    took (docs/log.md), 400 MiB of a server's. A pack's own shapes, which all layers share, are about 128.
    Values that are set outside stay.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, CACHED_PRODUCTS)


def known_peak(device: torch.device, precision: str) -> float | None:
    """TFLOP/s of a device in a precision; None where no data sheet is known, as for a CPU."""
    if device.type != "cuda" or precision != "bfloat16":
        return None
    return peak_of(torch.cuda.get_device_name(device))


def peak_of(name: str) -> float | None:
    """TFLOP/s in bfloat16 of a device by its name.

    >>> peak_of("NVIDIA H100 80GB HBM3"), peak_of("NVIDIA A10G")
    (989.0, None)
    """
    words = name.replace("-", " ").split()
    return next((peak for key, peak in PEAKS.items() if set(key.split()) <= set(words)), None)


def give_back_freed() -> None:
    """Hand memory that was freed, and that glibc keeps for later, back to the system; elsewhere nothing.

    Tensors ask for aligned memory, and glibc up to 2.37 finds no place for one where another of its size was
    freed: holes grow between those that stay. A call takes as long as its pages take to come again.
    """
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> Any | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
