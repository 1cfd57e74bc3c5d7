"""Damaged and half-written states: the one before is taken and said so, or an error names file and remedy.

Once a state was one folder without digests, which went before the new one had its name: kills there lost the
run, which began again without a word, and flipped bits or a foreign file silently gave other losses.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch

from tessera.train.loop import Trainer
from tessera.train.setup import set_up
from tests.train import tiny

RECIPE = tiny.recipe(save_every=2)


def _trainer(folder: Path, **changes: object) -> Trainer:
    return Trainer(set_up(tiny.recipe(**{"save_every": 2, **changes})), folder)


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """A run that was stopped behind its sixth step, and the losses of one that was not."""
    folder = tmp_path_factory.mktemp("halves")
    losses = [report.loss for report in _trainer(folder / "whole").run()]
    half = _trainer(folder / "half").run()
    assert len(list(islice(half, 6))) == 6
    half.close()
    return folder, losses


def _newest(folder: Path) -> Path:
    return max((folder / "state").glob("stage*"))


def _flip(file: Path, at: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(at * (len(content) - 1))] ^= 0x10
    file.write_bytes(content)


def _edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def _damages() -> Iterator[tuple[str, Callable[[Path, Path], object]]]:
    for name in ("weights.safetensors", "optimizer.safetensors", "state.json", "digests.json"):
        for at in (0.0, 0.1, 0.5, 1.0):
            yield f"a bit of {name} at {at}", lambda d, _, n=name, a=at: _flip(d / n, a)
        yield f"half of {name}", lambda d, _, n=name: os.truncate(d / n, (d / n).stat().st_size // 2)
        yield f"nothing of {name}", lambda d, _, n=name: os.truncate(d / n, 0)
        yield f"no {name}", lambda d, _, n=name: (d / n).unlink()
        yield f"a folder as {name}", lambda d, _, n=name: ((d / n).unlink(), (d / n).mkdir())
        yield f"another run's {name}", lambda d, o, n=name: shutil.copy(o / n, d / n)
    yield "step -1", lambda d, _: _edit(d / "state.json", step=-1)
    yield "no step", lambda d, _: _edit(d / "state.json", step=None)
    yield "another step", lambda d, _: _edit(d / "state.json", step=3)
    yield "another stage", lambda d, _: _edit(d / "state.json", stage=0)
    yield "no digests", lambda d, _: (d / "digests.json").write_text("{}")
    yield "digests as a list", lambda d, _: (d / "digests.json").write_text("[1]")
    yield "an empty folder", lambda d, _: [file.unlink() for file in d.iterdir()]
    yield "a file", lambda d, _: (shutil.rmtree(d), d.write_text("x"))
    yield "another name", lambda d, _: d.rename(d.with_name("stage1-step000004"))


@pytest.mark.parametrize(("damage"), [pytest.param(d, id=name) for name, d in _damages()])
def test_a_damaged_state_gives_way_to_the_one_before(
    damage: Callable[[Path, Path], object], halves: tuple[Path, list[float]], tmp_path: Path
) -> None:
    shutil.copytree(halves[0] / "half", folder := tmp_path / "run")
    damage(_newest(folder), _newest(halves[0] / "whole"))
    trainer = _trainer(folder)
    assert trainer.resumed_at == (1, 0) and len(trainer.damaged) == 1
    assert "is damaged" in trainer.damaged[0] and "stage1-step" in trainer.damaged[0]


def test_falling_back_gives_the_same_losses(halves: tuple[Path, list[float]], tmp_path: Path) -> None:
    """And the damaged state gives room to the new one of its name."""
    shutil.copytree(halves[0] / "half", folder := tmp_path / "run")
    _flip(_newest(folder) / "weights.safetensors", 0.5)
    assert [report.loss for report in _trainer(folder).run()] == halves[1][3:]
    assert not _trainer(folder).damaged
    assert len(list((folder / "state").iterdir())) == 2


def test_without_any_whole_state_the_run_does_not_begin_again(
    halves: tuple[Path, list[float]], tmp_path: Path
) -> None:
    shutil.copytree(halves[0] / "half", folder := tmp_path / "run")
    for state in (folder / "state").iterdir():
        (state / "state.json").unlink()
    with pytest.raises(ValueError, match=r"no whole state is left: .*state\.json is missing.*--out"):
        _trainer(folder)
    shutil.rmtree(folder / "state")
    with pytest.raises(ValueError, match=r"telemetry\.jsonl tells of a run, but there is no state .*--out"):
        _trainer(folder)
    (folder / "telemetry.jsonl").unlink()
    (folder / "state").mkdir()
    (folder / "state" / "state.json").write_text("{}")
    with pytest.raises(ValueError, match="is of an earlier version"):
        _trainer(folder)


@pytest.mark.parametrize("line", ["[1]", '{"stage": 1}', "null", "x", '{"loss": "low"}'])
def test_damaged_telemetry_is_named(line: str, halves: tuple[Path, list[float]], tmp_path: Path) -> None:
    shutil.copytree(halves[0] / "half", folder := tmp_path / "run")
    (folder / "telemetry.jsonl").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"telemetry\.jsonl:1 is no report of a step .*restore or remove"):
        list(_trainer(folder).run())


def test_a_kill_before_the_first_save_begins_anew_by_a_state_of_its_own(tmp_path: Path) -> None:
    half = _trainer(tmp_path, save_every=100).run()
    next(half)
    half.close()
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["stage0-step000000"]
    assert _trainer(tmp_path).resumed_at == (0, 0)


def test_what_changes_no_loss_may_change(halves: tuple[Path, list[float]], tmp_path: Path) -> None:
    """Name of the run, saving interval, workers."""
    shutil.copytree(halves[0] / "half", folder := tmp_path / "run")
    stages = [
        stage.model_copy(update={"packing": stage.packing.model_copy(update={"workers": 1, "prefetch": 1})})
        for stage in RECIPE.stages
    ]
    trainer = _trainer(folder, name="other", save_every=1, stages=tuple(stages))
    assert [report.loss for report in trainer.run()] == halves[1][5:]


def test_a_run_that_diverges_stops_with_its_last_good_state(tmp_path: Path) -> None:
    """Weights that overflow in the very step before a save were saved, and the run was lost."""
    trainer = _trainer(tmp_path, save_every=1)
    run = trainer.run()
    next(run), next(run)
    with torch.no_grad():
        next(trainer.model.parameters()).view(-1)[0] = float("inf")
    with pytest.raises(FloatingPointError, match=r"step 2: .*diverged; lower learning_rate.* is kept in"):
        next(run)
    assert _newest(tmp_path).name == "stage0-step000001"
    run.close()
    assert _trainer(tmp_path).resumed_at == (0, 1)


def test_a_full_disk_leaves_the_previous_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files larger than a limit, as a full disk refuses them: one line, and the run goes on from before."""
    script = (
        "import resource, sys; from pathlib import Path; from tests.train.test_state import _trainer\n"
        "run = _trainer(Path(sys.argv[1]), save_every=1).run(); next(run); next(run)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: next(run)\nexcept ValueError as error: print(error)"
    )
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert "File too large" in done.stdout and done.stdout.count("\n") == 1, done
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["stage0-step000001"]
    assert _trainer(tmp_path).resumed_at == (0, 1)


def test_killed_at_any_moment_goes_on_to_the_same_bits() -> None:
    """In full: `python -m tests.train.kill_campaign 20`, or TESSERA_KILLS=20."""
    kills = os.environ.get("TESSERA_KILLS", "3")
    path = os.pathsep.join(p for p in sys.path if p)
    command = [sys.executable, "-m", "tests.train.kill_campaign", kills, "7"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == int(kills) and found["equal"] == found["runs"]
