"""One run at a time in a folder, an end on request, and data that stays what it was between two halves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import PIL.Image
import pytest

from tessera.cli.main import main
from tessera.packing.config import PackingConfig
from tessera.records.export import write_dataset
from tessera.runtime.interrupt import stop_on_signals
from tessera.runtime.locks import FolderLock
from tessera.train.loop import Trainer
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start
from tessera.train.setup import set_up
from tessera.train.update.rules import Rule
from tessera.train.watch.journal import read_reports
from tests.train import tiny

STOPPED = """
from tests.train import tiny
recipe = lambda: tiny.recipe(save_every=100)
"""


def test_a_second_run_is_refused_at_once_and_told_who_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs into one folder both "succeeded", each with half of the telemetry."""
    with FolderLock(tmp_path):
        assert main(["train", "text", "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"is in use by process {os.getpid()} on " in told and told.count("\n") == 1
    run = Trainer(set_up(tiny.recipe()), tmp_path).run()
    next(run)
    with pytest.raises(ValueError, match="is in use by process"):
        Trainer(set_up(tiny.recipe()), tmp_path)
    run.close()
    assert Trainer(set_up(tiny.recipe()), tmp_path).resumed_at == (0, 0)


@pytest.mark.parametrize("late", [0, 0.3])
def test_the_lock_of_a_dead_process_stops_nobody(late: float, tmp_path: Path) -> None:
    """Its workers outlive it for some seconds; they don't hold the folder, though one may let go late."""
    script = (
        "import os, signal, sys, time; from pathlib import Path\n"
        "from tessera.runtime.locks import FolderLock\n"
        "lock = FolderLock(Path(sys.argv[1]))\n"
        f"held = os.dup(lock._file) if {late} else os.open(os.devnull, 0)\n"
        "child = os.fork()\n"
        f"if not child: time.sleep({late}); os.close(held); time.sleep(60); os._exit(0)\n"
        "print(child, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, env=_environment()
    )
    assert holder.stdout is not None
    worker = int(holder.stdout.readline())
    assert holder.wait() == -signal.SIGKILL
    FolderLock(tmp_path).close()
    os.kill(worker, signal.SIGKILL)


def test_the_first_signal_finishes_the_step_and_the_run_goes_on_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C lost all steps since the last save."""
    (tmp_path / "tiny_run.py").write_text(STOPPED)
    command = ["train", str(tmp_path / "tiny_run.py"), "--out", str(tmp_path / "run")]
    assert main([*command[:-1], str(tmp_path / "whole")]) == 0
    started = subprocess.Popen(
        [sys.executable, "-m", "tessera.cli.main", *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(),
    )  # fmt: skip
    telemetry = tmp_path / "run" / "telemetry.jsonl"
    while not (telemetry.is_file() and telemetry.read_text()):
        assert started.poll() is None, started.communicate()
    started.send_signal(signal.SIGINT)
    said, _ = started.communicate(timeout=60)
    assert started.returncode == 130, said
    assert "stopping behind this step" in said and "the same command goes on there" in said
    capsys.readouterr()
    assert main(command) == 0
    both = [[report.loss for report in read_reports(tmp_path / n)] for n in ("run", "whole")]
    assert both[0] == both[1]


def test_the_second_signal_ends_at_once() -> None:
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt), stop_on_signals(lambda: told.append("once")) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked and told == ["once"]
        os.kill(os.getpid(), signal.SIGINT)
    with stop_on_signals(lambda: None, launched=True) as stop:
        os.kill(os.getpid(), signal.SIGINT)  # by the terminal
        os.kill(os.getpid(), signal.SIGINT)  # by torchrun, which passes it on
        assert stop.asked


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """A run of six steps over thirty records that was stopped behind the fourth, and all its losses."""
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "data", {"shapes": 1.0}, 30, 0, (64, 64), 2, 4)
    losses = [report.loss for report in _run(folder, "whole").run()]
    half = _run(folder, "run").run()
    assert len(list(islice(half, 4))) == 4
    half.close()
    return folder, losses


def _run(folder: Path, name: str, **options: bool) -> Trainer:
    stage = Stage(
        name="a",
        steps=6,
        rules=(Rule(pattern=".", learning_rate=1e-3),),
        sources=(ManifestSpec(meta=str(folder / "data" / "meta.json")),),
        packing=PackingConfig(max_tokens=600, max_tiles=32),
    )
    start = Start(family="nano_model")
    recipe = Recipe(name="r", stages=(stage,), start=start, precision="float32", device="cpu", save_every=1)
    return Trainer(set_up(recipe), folder / name, **options)


def _answers(data: Path) -> None:
    file = data / "shapes.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    records[17]["conversations"][1]["value"] = "banana"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


def _lines(data: Path, change: Callable[[list[str]], list[str]]) -> None:
    file = data / "shapes.jsonl"
    file.write_text("".join(change(file.read_text().splitlines(keepends=True))))


def _picture(data: Path) -> None:
    file = sorted((data / "shapes").glob("*.png"))[11]
    PIL.Image.new("RGB", PIL.Image.open(file).size, (255, 0, 0)).save(file)


def _manifest(data: Path) -> None:
    meta = json.loads((data / "meta.json").read_text())
    next(iter(meta.values()))["data_augment"] = False
    (data / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_answers, "the annotation, texts"),
        (lambda data: _lines(data, lambda lines: lines[::-1]), "the annotation"),
        (lambda data: _lines(data, lambda lines: lines[:-1]), r"records \(was 30, now 29\)"),
        (_picture, "pictures or clips"),
        (_manifest, r"data_augment \(was True, now False\)"),
    ],
)
def test_changed_data_stops_the_second_half(
    change: Callable[[Path], None], said: str, started: tuple[Path, list[float]], tmp_path: Path
) -> None:
    """Only path and number of records were compared: the run went on and mixed two sets of data."""
    shutil.copytree(started[0], folder := tmp_path / "copy")
    change(folder / "data")
    message = f"stage 'a', source 'playground_shapes': .*{said}.*--accept-changed-data"
    with pytest.raises(ValueError, match=message):
        _run(folder, "run")
    trainer = _run(folder, "run", changed_data=True)
    assert len(list(trainer.run())) == 3


def test_data_that_was_touched_or_moved_is_the_same(
    started: tuple[Path, list[float]], tmp_path: Path
) -> None:
    shutil.copytree(started[0], folder := tmp_path / "copy")
    for file in (folder / "data").rglob("*"):
        os.utime(file, (1, 1))
    assert [report.loss for report in _run(folder, "run").run()] == started[1][3:]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
