"""The files in which a run tells of itself, all of them cut back together when it goes on from before."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults
from tessera.train.watch.best import Best, BestStep
from tessera.train.watch.evaluation import EvaluationReport
from tessera.train.watch.lines import StepFile, read_lines
from tessera.train.watch.spikes import MOST_NAMED, Spike, SpikeWatch
from tessera.train.watch.telemetry import StepReport

TELEMETRY, SPIKES, ANSWERS = "telemetry.jsonl", "spikes.jsonl", "answers.jsonl"
MIXTURE = "mixture.json"
"""Stage → source → samples, tokens, tiles and supervised tokens that it gave."""
Mixture = dict[str, dict[str, dict[str, int]]]


def read_reports(folder: Path) -> Iterable[StepReport]:
    """The reports of a run, oldest first. ValueError for a line that is none."""
    return read_lines(folder / TELEMETRY, StepReport)


def read_spikes(folder: Path) -> Iterable[Spike]:
    """The steps of a run whose loss stood out."""
    return read_lines(folder / SPIKES, Spike)


def read_answers(folder: Path) -> Iterable[EvaluationReport]:
    """What the model of a run answered on the way."""
    return read_lines(folder / ANSWERS, EvaluationReport)


def read_mixture(folder: Path) -> Mixture:
    """What every source of a run really gave, by stage, up to the last state."""
    file = folder / MIXTURE
    found: Mixture = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


class Journal:
    """Reports go to `telemetry.jsonl`, steps that stand out to `spikes.jsonl`, answers to `answers.jsonl`.

    `start` is stage and step at which the run goes on. Processes that don't lead write nothing.
    """

    def __init__(
        self, folder: Path, start: tuple[int, int], leads: bool = True, best_by: Best = "no"
    ) -> None:
        def place(name: str) -> Path:
            return folder / name if leads else Path(os.devnull)

        self._folder, self._leads = folder, leads
        self._samples: dict[tuple[int, int], tuple[str, ...]] = {}
        self._reports = StepFile(place(TELEMETRY), StepReport, start)
        self._spikes = StepFile(place(SPIKES), Spike, start)
        self._answers = StepFile(place(ANSWERS), EvaluationReport, start)
        # Not through `place`: all processes must find the same best step. The leader may cut lines meanwhile,
        # but none before the start.
        before = [r for r in read_reports(folder) if (r.stage_index, r.step) < start]
        self._watch, self.best = SpikeWatch(before), BestStep(best_by, before)

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

    def write_answers(self, report: EvaluationReport) -> None:
        """Append what was answered behind a step."""
        self._answers.write(report)

    def write_mixture(self, stage: str, seen: Mapping[str, Any]) -> None:
        """What the sources of a stage gave so far: dataclasses by name of the source."""
        if self._leads and seen:
            mixture = read_mixture(self._folder) | {stage: {n: asdict(tally) for n, tally in seen.items()}}
            with disk_faults(self._folder / MIXTURE), atomic_write(self._folder / MIXTURE) as stream:
                stream.write(json.dumps(mixture, indent=1).encode())

    def sync(self) -> None:
        """Put everything on the disk, before a state that stands behind it."""
        for file in (self._reports, self._spikes, self._answers):
            file.sync()

    def close(self) -> None:
        """Nothing more to tell."""
        for file in (self._reports, self._spikes, self._answers):
            file.close()
