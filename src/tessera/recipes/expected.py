"""What a recipe takes on each device, by the plan: counted when it is asked for, and never written down."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from tessera.recipes.offer import Offer
from tessera.train.plan.machine import Machine
from tessera.train.plan.run_plan import plan_run, trains_pair


@dataclass(frozen=True)
class Expected:
    """Bytes on each device at the fullest instant of a step, by stage and by what they are for."""

    devices: int
    kind: str
    """"GPU" or "CPU"."""
    stages: dict[str, dict[str, int]]

    @property
    def most(self) -> int:
        """Of the fullest stage."""
        return max(sum(parts.values()) for parts in self.stages.values())

    def lines(self, parts: int = 4) -> dict[str, str]:
        """Stage to its bytes in words, the largest parts named."""
        where = f"on one {self.kind}" if self.devices == 1 else f"on each of {self.devices} {self.kind}s"
        return {
            name: f"{_gb(sum(held.values()))} {where}: {_named(held, parts)}"
            for name, held in self.stages.items()
        }


def expected(offer: Offer) -> Expected | None:
    """On the published number of devices, or one; full packs of usual samples. A second or two a stage.
    None for pairs of pictures and texts, which are not planned.

    ValueError as `plan_run` raises it.
    """
    recipe, hardware = offer.load(), offer.line().hardware
    if trains_pair(recipe):
        return None
    kind = "CPU" if hardware.startswith("CPU") else "GPU"
    found = re.search(r"(\d+) GPUs?", hardware)
    devices = int(found[1]) if found else 1
    machine = Machine(torch.device("cpu" if kind == "CPU" else "meta"), 0, devices)
    plan = plan_run(recipe, machine, read_data=False)
    return Expected(devices, kind, {stage.name: stage.bytes for stage in plan.stages})


def _named(held: dict[str, int], parts: int) -> str:
    largest = sorted(held.items(), key=lambda item: -item[1])[:parts]
    return ", ".join(f"{kind} {_gb(size)}" for kind, size in largest)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
