"""The devices that a run is planned for: their memory, and how fast they multiply."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tessera.runtime.config import Config
from tessera.runtime.device import choose_device
from tessera.runtime.shown import shown

UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
PROBE_SECONDS = 2.0
PROBE = (1024, 1024, 4096)
"""Rows, inputs and outputs of the product that is timed: those of a ViT's tile."""


class Allowances(Config):
    """What a process holds besides tensors: not counted, so given. docs/plan.md tells how each was found."""

    kernels: int = 48 * 2**20
    """Bytes of compiled products and their scratch on a CPU."""
    slack: float = 0.03
    """Share of all tensors that the allocator may hold beside them."""
    gaps: float = 0.2
    """Share of small storages that come and go which a CPU's heap holds besides, in gaps."""
    heap: int = 24 * 2**20
    """Bytes that glibc keeps at the end of a CPU's heap (M_TRIM_THRESHOLD, which grows to 64 MiB)."""
    context: int = 700 * 2**20
    """Bytes of an accelerator's context and libraries."""
    collectives: int = 2**30
    """Bytes of buffers that processes exchange by, where there are several."""
    far: float = 1.1
    """A run that would take more than this times the memory doesn't start."""

    def of(self, tensors: int, gaps: int, on_cpu: bool, world: int) -> dict[str, int]:
        """Bytes by what they are for; `gaps` are those of a CPU's heap."""
        fixed = {"kernels": self.kernels, "process": resident()} if on_cpu else {"context": self.context}
        shared = {"collectives": self.collectives} if world > 1 else {}
        heap = self.heap + gaps if on_cpu else 0
        return fixed | shared | {"allocator": int(self.slack * tensors) + heap}


USUAL = Allowances()


@dataclass(frozen=True)
class Machine:
    """Equal devices."""

    device: torch.device
    """"cpu", or "meta" for any accelerator."""
    memory: int
    """Bytes of each."""
    count: int = 1
    speed: float | None = None
    """Useful FLOPs a second that one is expected to do; None is not known."""
    why: str = "no speed is known: give --peak"
    """Where the speed comes from."""

    @property
    def label(self) -> str:
        """In words."""
        kind = "CPU" if self.device.type == "cpu" else "device"
        one = f"{self.memory / 1e9:.0f} GB"
        return f"one {kind} of {one}" if self.count == 1 else f"{self.count} {kind}s of {one} each"


def find_machine(device: str, memory: str | None, count: int | None, world: int) -> Machine:
    """The devices that a recipe names, or those of the given size. ValueError for a size that is none."""
    if memory is not None:
        place = "cpu" if device == "cpu" else "meta"
        return Machine(torch.device(place), read_size(memory), count or world)
    chosen = choose_device(device)
    if chosen.type == "cuda":
        total = torch.cuda.get_device_properties(chosen).total_memory
        return Machine(torch.device("meta"), total, count or world)
    return Machine(torch.device("cpu"), available() // world, count or world)


def with_speed(machine: Machine, peak: float | None, share: float, precision: torch.dtype) -> Machine:
    """The devices with a speed: `share` of `peak` TFLOP/s, or of what products reach on this CPU now."""
    if peak is not None:
        why = f"{share:.0%} of the {peak:g} TFLOP/s given"
        return replace(machine, speed=share * peak * 1e12, why=why)
    if machine.device.type != "cpu":
        return machine
    found = measured_speed(precision)
    why = f"{share:.0%} of the {found / 1e12:.2g} TFLOP/s that products of this CPU reached now"
    return replace(machine, speed=share * found, why=why)


def read_size(text: str) -> int:
    """Bytes of 24GB, 80 GiB. ValueError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MGT]i?B)", text.strip(), re.IGNORECASE)
    if found is None or not (size := int(float(found[1]) * UNITS[found[2].upper()])):
        raise ValueError(f"--device-memory {shown(text)}: write a size such as 24GB or 80GiB")
    return size


def available() -> int:
    """Bytes that this host can still give, by Linux; those of the whole machine elsewhere."""
    found = _field(Path("/proc/meminfo"), "MemAvailable:")
    return found or 2**63


def resident() -> int:
    """Bytes that this process holds now; 0 where the system doesn't tell."""
    return _field(Path("/proc/self/status"), "VmRSS:")


def measured_speed(precision: torch.dtype) -> float:
    """FLOPs a second of products of this machine's processor, measured for two seconds."""
    rows, inner, out = PROBE
    x, w = torch.randn(rows, inner).to(precision), torch.randn(out, inner).to(precision)
    torch.nn.functional.linear(x, w)
    done, began = 0, time.perf_counter()
    while (gone := time.perf_counter() - began) < PROBE_SECONDS:
        torch.nn.functional.linear(x, w)
        done += 1
    return done * 2.0 * rows * inner * out / gone


def _field(file: Path, name: str) -> int:
    if not file.is_file():
        return 0
    lines = (line.split() for line in file.read_text().splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[:1] == [name]), 0)
