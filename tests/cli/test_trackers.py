"""Numbers of a run in the real trackers, read back with their own readers; skipped where one is absent."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tessera.cli.training.track import open_tracker
from tessera.cli.training.watching import tracked
from tests.train import tiny
from tests.train.watch.test_spikes import report

SETTINGS = tiny.recipe().model_dump(mode="json")
LOSSES = [2.0, 1.75, 1.5, 1.25]


def track(name: str, folder: Path) -> None:
    """Four steps of a run that is killed behind the third and goes on from the second."""
    folder.mkdir(exist_ok=True)
    for steps in ((0, 1, 2), (1, 2, 3)):
        tracker = open_tracker(name, folder, SETTINGS)
        for step in steps:
            tracker(step, tracked(report(step, LOSSES[step])))
        tracker(0, None)


def test_tensorboard(tmp_path: Path) -> None:
    reason = "tensorboard is not installed"
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=reason)
    track("tensorboard", tmp_path / "run")
    read = events.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    read.Reload()
    assert [(event.step, event.value) for event in read.Scalars("train/loss")] == list(enumerate(LOSSES))
    assert "recipe/text_summary" in read.Tags()["tensors"]


def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One run although it went on; another folder of the same name is another run. Stdout stays clean."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="trackio is not installed")
    (tmp_path / "other").mkdir()
    track("trackio", tmp_path / "run")
    track("trackio", tmp_path / "other" / "run")
    assert not capsys.readouterr().out
    storage = __import__("trackio.sqlite_storage", fromlist=["SQLiteStorage"]).SQLiteStorage
    runs = storage.get_runs("tessera")
    assert len(runs) == 2 and all(str(run).startswith("run-") for run in runs)
    for run in runs:
        rows = {row["step"]: row["train/loss"] for row in storage.get_logs("tessera", run)}
        assert rows == dict(enumerate(LOSSES))


def _records(file: Path, kind: Any) -> Iterator[Any]:
    """Records of an offline run: a log of LevelDB's form, small enough that none is in parts."""
    data, at = file.read_bytes(), 7
    while at < len(data):
        length, part = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        assert part == 1
        yield kind.FromString(data[at + 7 : at + 7 + length])
        at += 7 + length


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, in the run's folder; both halves belong to one run of theirs."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    kind = __import__("wandb.proto.wandb_internal_pb2", fromlist=["Record"]).Record
    track("wandb", tmp_path / "run")
    wandb.teardown()  # its process writes behind ours
    rows, runs = {}, set()
    for file in (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"):
        for record in _records(file, kind):
            if record.WhichOneof("record_type") == "run":
                runs.add((record.run.run_id, record.run.display_name, record.run.project))
            if record.WhichOneof("record_type") == "history":
                found = {i.key or "/".join(i.nested_key): i.value_json for i in record.history.item}
                rows[record.history.step.num] = json.loads(found["train/loss"])
    assert rows == dict(enumerate(LOSSES))
    assert runs == {((tmp_path / "run" / "track_id").read_text(), "run", "tessera")}


def test_a_run_of_wandb_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody was logged in: it was a traceback of wandb's."""

    class Error(Exception):
        pass

    def init(**_: object) -> None:
        raise Error("No API key configured. Use `wandb login` to log in.")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Error=Error, init=init))
    with pytest.raises(ValueError, match=r"--track wandb: .*No API key.*WANDB_MODE=offline"):
        open_tracker("wandb", tmp_path, {})
