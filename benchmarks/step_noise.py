"""How much loss and gradient norm differ from step to step, and whether the packs' composition explains it.

    python benchmarks/step_noise.py runs/before runs/after

For every stage of finished runs, over the second half of its steps: the correlation of samples a step with
loss (over all steps), mean loss, and the noise of loss and gradient norm: the standard deviation of the
difference of successive steps, over root two, so that what is learned meanwhile doesn't count.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tessera.train.watch.journal import read_reports
from tessera.train.watch.telemetry import StepReport


def noise(values: np.ndarray) -> float:
    """Standard deviation from step to step."""
    return float(np.diff(values).std() / np.sqrt(2))


def line(stage: str, steps: list[StepReport]) -> str:
    """A row of the table."""
    samples, loss, norm = (
        np.array([getattr(s, key) for s in steps]) for key in ("samples", "loss", "gradient_norm")
    )
    half = len(steps) // 2
    figures = (loss[half:].mean(), noise(loss[half:]), norm[half:].mean(), noise(norm[half:]))
    return f"| {stage} | {np.corrcoef(samples, loss)[0, 1]:.2f} | {' | '.join(f'{x:.3f}' for x in figures)} |"


def main(folders: list[str]) -> None:
    """Print a table for every run."""
    for folder in folders:
        print(f"\n{folder}\n\n| stage | samples and loss | loss | its noise | gradient norm | its noise |")
        print("| --- | --: | --: | --: | --: | --: |")
        reports = [report for report in read_reports(Path(folder)) if not report.skipped]
        for stage in dict.fromkeys(report.stage for report in reports):
            print(line(stage, [report for report in reports if report.stage == stage]))


if __name__ == "__main__":
    main(sys.argv[1:])
