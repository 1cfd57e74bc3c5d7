"""What share of its devices a run uses: useful operations of its steps over what the devices can do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tessera.runtime.atomic import atomic_write
from tessera.runtime.config import first_fault
from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown
from tessera.train.plan.flops import Effort
from tessera.train.watch.telemetry import StepReport

FILE = "effort.json"


@dataclass(frozen=True)
class RunEffort:
    """Useful operations of a run's stages; none where they can't be counted.

    ValueError for a peak that is none.
    """

    stages: tuple[Effort, ...] = ()
    peak: float | None = None
    """TFLOP/s that a device can do, where that is known."""
    devices: int = 1

    def __post_init__(self) -> None:
        if self.peak is not None and not 0 < self.peak < math.inf:
            raise ValueError(f"--peak {self.peak}: give the TFLOP/s of a device, above 0")

    def useful(self, reports: Iterable[StepReport]) -> dict[str, float]:
        """Of some steps together: `tflops`, a second, of all devices, and `mfu`, their share of the peak."""
        flops = seconds = 0.0
        for report in reports if self.stages else ():
            flops += self.stages[report.stage_index].of(
                tokens=report.tokens, tiles=report.tiles, pairs=report.pairs, supervised=report.trained
            )
            seconds += report.seconds
        if not flops:
            return {}
        speed = flops / max(seconds, 1e-9) / 1e12
        return {"tflops": speed} | ({"mfu": speed / self.peak / self.devices} if self.peak else {})

    def write(self, folder: Path) -> None:
        """Into a run's folder, for its page."""
        with disk_faults(folder / FILE), atomic_write(folder / FILE) as stream:
            stream.write(_FORM.dump_json(self, indent=1))

    @staticmethod
    def read(folder: Path) -> RunEffort:
        """As it was written; an empty one where there is none. ValueError for another file."""
        file = folder / FILE
        try:
            return _FORM.validate_json(file.read_bytes()) if file.is_file() else RunEffort()
        except ValidationError as error:
            raise ValueError(f"{shown(file)}: {first_fault(error)}; remove it") from None


_FORM = TypeAdapter(RunEffort)
