"""A run of two processes that lost one goes on to the same bits, and on one process, and on two again."""

from __future__ import annotations

import re
import shutil
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tessera.train.watch.journal import read_reports
from tests.train.kill_campaign import facts, weights
from tests.train.parallel import pair


@pytest.fixture(scope="module")
def runs(two: tuple[Path, str]) -> tuple[Path, str]:
    """Folders of an undisturbed run and of one that lost its second rank and went on; what was said of it."""
    folder, said = two
    shutil.copytree(folder / "background", folder / "on one")
    on_one = pair.trainer(folder / "on one")
    assert on_one.resumed_at in ((1, 1), (1, 2))  # the newest may have been on its way
    run = on_one.run()
    assert len(list(islice(run, 2))) == 2
    run.close()
    pair.launch(folder, "background", "on one")
    return folder, said


def test_the_lost_rank_is_named_with_step_and_samples(runs: tuple[Path, str]) -> None:
    where = r"last seen at stage '\w+', step \d+, (behind it|loading|samples '.+)"
    assert re.search(rf"ProcessLost: rank 1 \(process \d+ on .*\), {where}.* has ended", runs[1]), runs[1]


def test_a_killed_run_of_two_goes_on_to_the_same_bits(runs: tuple[Path, str]) -> None:
    """Its states were written in the background, those of the undisturbed run were not."""
    whole, again = runs[0] / "whole", runs[0] / "background"
    assert facts(again) == facts(whole) and len(facts(whole)) == 8
    assert weights(again) == weights(whole)


def test_two_one_and_two_processes_make_one_run(runs: tuple[Path, str]) -> None:
    losses = [[r.loss for r in read_reports(runs[0] / name)] for name in ("whole", "on one")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    found, expected = (load_file(runs[0] / name / "1_full/model.safetensors") for name in ("on one", "whole"))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=2e-4, msg=name)


def test_states_hold_what_was_trained_and_are_read_by_pytorch(runs: tuple[Path, str]) -> None:
    """Behind the warm-up of the connector the frozen rest is not in them."""
    state = runs[0] / "whole" / "state"
    assert {path.name for path in state.glob("*")} == {"stage1-step000004", "stage2-step000000"}
    names = {path.name for path in (state / "stage2-step000000").iterdir()}
    parts = {f"{what}-{rank}.safetensors" for what in ("weights", "optimizer") for rank in (0, 1)}
    assert names == parts | {"state.json", "digests.json"}
