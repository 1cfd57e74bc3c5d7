"""What a run says about itself: one JSON line a step, and a table of its stages."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tessera.runtime.config import first_fault
from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown


@dataclass(frozen=True)
class StepReport:
    """One optimizer step. Times in seconds; counts are those of the step."""

    stage: str
    stage_index: int
    step: int
    steps: int
    loss: float
    normaliser: float
    gradient_norm: float
    factor: float
    samples: int
    tokens: int
    tiles: int
    trained: int
    seconds: float
    wait: float
    token_fill: float
    tile_fill: float
    validation_loss: float | None = None
    """On the records held out, where it was measured behind this step."""


_REPORT = TypeAdapter(StepReport)


class ReportFile:
    """`telemetry.jsonl`: a line a step, written at once, so that a running job can be watched.

    On resume, lines from stage and step `keep_until` on are cut off: the run will write them again.
    ValueError when the disk refuses.
    """

    def __init__(self, file: Path, keep_until: tuple[int, int] = (0, 0)) -> None:
        self._file = file
        kept = 0
        for report, end in _lines(file):
            if (report.stage_index, report.step) >= keep_until:
                break
            kept = end
        with disk_faults(file):
            self._stream = file.open("ab")
            # In one step: a crash while lines were copied would lose them all.
            if file.is_file():
                self._stream.truncate(kept)

    def write(self, report: StepReport) -> None:
        """Append a report."""
        with disk_faults(self._file):
            self._stream.write(json.dumps(asdict(report)).encode() + b"\n")
            self._stream.flush()

    def sync(self) -> None:
        """Put the lines on the disk, before a state that stands behind them."""
        if self._file.is_file():
            with disk_faults(self._file):
                os.fsync(self._stream.fileno())

    def close(self) -> None:
        """No more lines."""
        self._stream.close()


def read_reports(file: Path) -> Iterator[StepReport]:
    """The reports of a telemetry file. ValueError for a line that is none.

    One cut off at the end by a crash is skipped: the run will write it again.
    """
    return (report for report, _ in _lines(file))


def _lines(file: Path) -> Iterator[tuple[StepReport, int]]:
    """Every report with the byte behind its line."""
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    end = 0
    for number, line in enumerate(lines, 1):
        # Without its end it is the last, torn; behind a loss of power there may be zeros.
        if number == len(lines) and not (line.endswith(b"\n") and line.strip(b"\0\n")):
            return
        end += len(line)
        try:
            report = _REPORT.validate_json(line)
        except ValidationError as error:
            raise ValueError(
                f"{shown(file)}:{number} is no report of a step ({first_fault(error)}); restore or remove "
                "the file"
            ) from None
        yield report, end


def stage_figures(reports: Iterable[StepReport]) -> dict[str, dict[str, float]]:
    """Per stage: the sums of its steps, its last step, loss and token fill, and tokens per second."""
    figures: dict[str, dict[str, float]] = {}
    for report in reports:
        stage = figures.setdefault(report.stage, {})
        for name in ("seconds", "wait", "tokens", "trained", "samples"):
            stage[name] = stage.get(name, 0.0) + getattr(report, name)
        stage |= {"steps": report.step + 1, "loss": report.loss, "token_fill": report.token_fill}
        if report.validation_loss is not None:
            stage["validation_loss"] = report.validation_loss
        stage["tokens_per_second"] = stage["tokens"] / stage["seconds"]
    return figures
