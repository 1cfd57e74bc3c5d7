"""Steps that stand out: the rule against hand-made losses, and what a run writes of them."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

from tessera.train.watch.journal import Journal, read_reports, read_spikes
from tessera.train.watch.spikes import MOST_NAMED, SpikeWatch, spike_limit
from tessera.train.watch.telemetry import StepReport


def report(step: int, loss: float, stage_index: int = 0) -> StepReport:
    counts = {"samples": 1, "tokens": 10, "tiles": 1, "trained": 4, "normaliser": 1.0}
    return StepReport(
        stage=f"stage {stage_index}", stage_index=stage_index, step=step, steps=999, loss=loss,
        gradient_norm=1.0, factor=1.0, seconds=1.0, wait=0.1, token_fill=1.0, tile_fill=1.0, **counts,
    )  # fmt: skip


def test_the_limit_by_hand() -> None:
    """Median 3, deviations 2 1 0 1 2, so their median is 1."""
    assert spike_limit([1.0, 2.0, 3.0, 4.0, 5.0]) == (3.0, 3 + 6 * 1.4826)
    assert spike_limit([2.0, 2.0, 2.0]) == (2.0, 2 + 6 * 0.02)  # a still loss: a share of the median


def test_one_outlier_among_noise_is_found_and_does_not_hide_the_next() -> None:
    rng = Random(0)
    losses = [2.0 - 0.002 * i + rng.gauss(0, 0.05) for i in range(200)]
    losses[100], losses[104] = 6.0, 3.0
    watch = SpikeWatch()
    found = [spike.step for i, loss in enumerate(losses) if (spike := watch.see(report(i, loss)))]
    assert found == [100, 104]


def test_the_first_steps_and_a_new_stage_are_not_compared() -> None:
    watch = SpikeWatch(report(i, 1.0) for i in range(30))
    assert watch.see(report(0, 9.0, stage_index=1)) is None
    assert SpikeWatch(report(i, 1.0) for i in range(19)).see(report(19, 9.0)) is None
    assert SpikeWatch(report(i, 1.0) for i in range(20)).see(report(20, 9.0)) is not None


def test_a_resumed_run_finds_the_same_spikes(tmp_path: Path) -> None:
    """It compares with the steps before it was stopped, and cuts off what it will write again."""

    def go(folder: Path, first: int, last: int) -> None:
        folder.mkdir(exist_ok=True)
        journal = Journal(folder, (0, first))
        for step in range(first, last):
            journal.note(0, step, [f"photos:{step}", f"photos:{step + 1}"])
            journal.write(report(step, 5.0 if step in (25, 40) else 1.0 + 0.01 * math.sin(step)))
        journal.close()

    go(tmp_path / "whole", 0, 50)
    go(tmp_path / "halves", 0, 45)
    go(tmp_path / "halves", 38, 50)
    whole, halves = (list(read_spikes(tmp_path / name)) for name in ("whole", "halves"))
    assert whole == halves
    assert [(s.step, s.samples) for s in whole] == [(n, (f"photos:{n}", f"photos:{n + 1}")) for n in (25, 40)]
    assert [r.step for r in read_reports(tmp_path / "halves")] == list(range(50))


def test_so_many_samples_are_named_and_no_more(tmp_path: Path) -> None:
    journal = Journal(tmp_path, (0, 0))
    for step in range(21):
        journal.note(0, step, map(str, range(MOST_NAMED + 5)))
        spike = journal.write(report(step, 9.0 if step == 20 else 1.0))
    journal.close()
    assert spike is not None and len(spike.samples) == MOST_NAMED


def test_processes_that_do_not_lead_write_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, (0, 0), leads=False)
    journal.write(report(0, 1.0))
    journal.sync()
    journal.close()
    assert not list(tmp_path.iterdir())
