"""What a run says about itself: one JSON line a step, and a table of its stages."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


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


@contextmanager
def write_reports(file: Path, keep_until: tuple[int, int] = (0, 0)) -> Iterator[Callable[[StepReport], None]]:
    """A function that appends a report to `telemetry.jsonl`, flushed, so that a running job can be watched.

    On resume, lines from stage and step `keep_until` on are dropped first: the run will write them again.
    """
    kept = [r for r in read_reports(file) if (r.stage_index, r.step) < keep_until]
    with file.open("w", encoding="utf-8") as stream:

        def write(report: StepReport) -> None:
            stream.write(json.dumps(asdict(report)) + "\n")
            stream.flush()

        for report in kept:
            write(report)
        yield write


def read_reports(file: Path) -> Iterator[StepReport]:
    """The reports of a telemetry file; a line cut off by a crash is skipped as the run will rewrite it."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for number, line in enumerate(lines):
        try:
            yield StepReport(**json.loads(line))
        except json.JSONDecodeError:
            if number < len(lines) - 1:
                raise ValueError(f"{file}:{number + 1} is not JSON; restore or remove the file") from None


def stage_figures(reports: Iterable[StepReport]) -> dict[str, dict[str, float]]:
    """Per stage: the sums of its steps, its last step, loss and token fill, and tokens per second."""
    figures: dict[str, dict[str, float]] = {}
    for report in reports:
        stage = figures.setdefault(report.stage, {})
        for name in ("seconds", "wait", "tokens", "trained", "samples"):
            stage[name] = stage.get(name, 0.0) + getattr(report, name)
        stage |= {"steps": report.step + 1, "loss": report.loss, "token_fill": report.token_fill}
        stage["tokens_per_second"] = stage["tokens"] / stage["seconds"]
    return figures
