"""The files in which a run tells of itself, all of them cut back together when it goes on from before."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tessera.train.watch.lines import StepFile, read_lines
from tessera.train.watch.spikes import MOST_NAMED, Spike, SpikeWatch
from tessera.train.watch.telemetry import StepReport

TELEMETRY, SPIKES = "telemetry.jsonl", "spikes.jsonl"


def read_reports(folder: Path) -> Iterable[StepReport]:
    """The reports of a run, oldest first. ValueError for a line that is none."""
    return read_lines(folder / TELEMETRY, StepReport)


def read_spikes(folder: Path) -> Iterable[Spike]:
    """The steps of a run whose loss stood out."""
    return read_lines(folder / SPIKES, Spike)


class Journal:
    """Reports go to `telemetry.jsonl`, steps that stand out to `spikes.jsonl`.

    `start` is stage and step at which the run goes on. Processes that don't lead write nothing.
    """

    def __init__(self, folder: Path, start: tuple[int, int], leads: bool = True) -> None:
        def place(name: str) -> Path:
            return folder / name if leads else Path(os.devnull)

        self._samples: dict[tuple[int, int], tuple[str, ...]] = {}
        self._reports = StepFile(place(TELEMETRY), StepReport, start)
        self._spikes = StepFile(place(SPIKES), Spike, start)
        self._watch = SpikeWatch(read_lines(place(TELEMETRY), StepReport))

    def note(self, stage_index: int, step: int, samples: Iterable[str]) -> None:
        """What a step learned from, before it is reported."""
        self._samples[stage_index, step] = tuple(samples)

    def write(self, report: StepReport) -> Spike | None:
        """Append a report; returns the spike that it is, if it is one."""
        self._reports.write(report)
        samples = self._samples.pop((report.stage_index, report.step), ())
        found = self._watch.see(report)
        if found is None:
            return None
        spike = replace(found, samples=samples[:MOST_NAMED])
        self._spikes.write(spike)
        return spike

    def sync(self) -> None:
        """Put everything on the disk, before a state that stands behind it."""
        self._reports.sync()
        self._spikes.sync()

    def close(self) -> None:
        """Nothing more to tell."""
        self._reports.close()
        self._spikes.close()
