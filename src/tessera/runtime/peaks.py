"""What accelerators can do, by the name that PyTorch gives them."""

import torch

BFLOAT16 = {
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
    return next((peak for key, peak in BFLOAT16.items() if set(key.split()) <= set(words)), None)
