"""The page of a run from its files: every figure of it, and nothing that a browser would fetch."""

from __future__ import annotations

import json
import re
from pathlib import Path

import PIL.Image
import pytest
import torch

from tessera.cli.main import main
from tessera.cli.training.run_page import run_page, write_run_page
from tessera.cli.training.track import open_tracker
from tessera.cli.training.watching import Watching, tracked
from tessera.pages.page import render
from tessera.runtime.device import known_peak, peak_of
from tessera.runtime.progress import Bars
from tessera.train.loop import Trainer
from tessera.train.plan.flops import Effort
from tessera.train.setup import set_up
from tessera.train.watch.effort import RunEffort
from tessera.train.watch.evaluation import Answers, EvaluationReport, Example
from tessera.train.watch.journal import Journal
from tests.train import tiny
from tests.train.watch.test_spikes import report

SEEN: list[tuple[int, dict[str, float] | None]] = []


def collect(folder: Path, settings: object) -> object:
    """A tracker as a user writes it."""
    SEEN.clear()
    return lambda step, values: SEEN.append((step, values))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Forty steps of which one stands out, with a question right and a question wrong."""
    journal = Journal(tmp_path, (0, 0))
    for step in range(40):
        journal.note(0, step, ["photos:7", "talk:<b>8"])
        journal.write(report(step, 9.0 if step == 30 else 2.0 - step / 100))
    (tmp_path / "examples").mkdir()
    PIL.Image.new("RGB", (8, 8), "red").save(tmp_path / "examples" / "a.png")
    examples = (
        Example("clock", "what time is it?", "3:30", "3:30", True, "examples/a.png"),
        Example("clock", "which <hour>?", "4", "5", False),
    )
    journal.write_answers(EvaluationReport("stage 0", 0, 39, Answers({"clock": 1}, {"clock": 2}, examples)))
    journal.close()
    mixture = {"stage 0": {"photos": {"samples": 30, "tokens": 300, "tiles": 9, "trained": 100}}}
    mixture["stage 0"]["talk"] = {"samples": 10, "tokens": 100, "tiles": 0, "trained": 50}
    (tmp_path / "mixture.json").write_text(json.dumps(mixture))
    return tmp_path


def test_everything_is_on_the_page(run: Path) -> None:
    html = write_run_page(run).read_text(encoding="utf-8")
    for said in (
        "gradient norm",
        "tokens/s",
        "waiting for data in %",
        "75.0%",
        "25.0%",
        "photos:7",
        "1 of 2",
    ):
        assert said in html, said
    assert "talk:&lt;b&gt;8" in html and "<b>8" not in html
    assert "9.000 (usual 1.8" in html and "expected: 4" in html and "data:image/" in html
    assert "http://" not in html and "https://" not in html


def test_a_run_that_has_told_nothing_has_a_page(tmp_path: Path) -> None:
    assert "No step has been told" in render(run_page(tmp_path))


def test_a_run_is_watched(tmp_path: Path) -> None:
    """Every step reaches the tracker, counted over the stages; the page and the mixture are there."""
    trainer = Trainer(set_up(tiny.recipe()), tmp_path)
    notes: list[str] = []

    class Told(Bars):
        def __call__(self, what: str, done: int, total: int | None, note: str = "") -> None:
            notes.append(note)

    watching = Watching(trainer, Told(), f"{__name__}:collect", peak=0.1)
    for step in trainer.run():
        watching.see(step)
    watching.close()
    assert [step for step, values in SEEN if values] == list(range(8)) and SEEN[-1] == (0, None)
    last = dict(SEEN[-2][1] or {})
    assert last["train/mfu"] == pytest.approx(last["train/tflops"] / 0.1) and "MFU " in notes[-1]
    assert "supervised tok/s" in notes[-1] and "norm" in notes[-1] and "wait" in notes[-1]
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "warm_up: pictures" in html and "full: pictures" in html and html.count("<figure>") >= 10


def test_numbers_of_a_step() -> None:
    values = tracked(report(3, 1.5))
    assert values["train/loss"] == 1.5 and values["train/supervised_tokens_per_second"] == 4
    assert "train/validation_loss" not in values


def test_trackers_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"--track 'clouds': choose tensorboard, trackio, wandb"):
        open_tracker("clouds", tmp_path, {})
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(ValueError, match=r"pip install wandb"):
        open_tracker("wandb", tmp_path, {})
    with pytest.raises(ValueError, match=r"name a function of the module"):
        open_tracker("json:nothing", tmp_path, {})


def test_the_page_is_written_alone(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its own verb, elsewhere, with the share of the peak that the run used: 60 GFLOP in each second."""
    RunEffort((Effort(tile=1e10, token=5e9, supervised=0, pair=0, last_pair=0),), devices=2).write(run)
    to = tmp_path / "pages" / "run.html"
    assert main(["page", str(run), "--to", str(to), "--peak", "0.1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"page": str(to)}
    html = to.read_text(encoding="utf-8")
    assert "30.0%" in html and "MFU in %" in html and not (run / "report.html").exists()
    assert main(["page", str(run)]) == 0 and "useful TFLOP/s" in (run / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{}/nothing"], r"nothing'? holds no telemetry.jsonl: give a run's folder, its --out"),
        (["{}", "--peak", "0"], r"--peak 0.0: give the TFLOP/s of a device, above 0"),
    ],
)
def test_a_page_that_can_not_be_written(
    words: list[str], told: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["page", *(word.format(run) for word in words)]) == 2
    assert re.search(told, capsys.readouterr().err)


def test_the_effort_of_a_run_is_read_back(tmp_path: Path) -> None:
    effort = RunEffort((Effort(tile=1, token=2, supervised=3, pair=4, last_pair=5),), 989.0, 8)
    effort.write(tmp_path)
    assert RunEffort.read(tmp_path) == effort and RunEffort.read(tmp_path / "none") == RunEffort()
    assert RunEffort().useful([report(0, 1.0)]) == {}
    (tmp_path / "effort.json").write_text("[]")
    with pytest.raises(ValueError, match=r"effort.json.*remove it"):
        RunEffort.read(tmp_path)


def test_peaks_by_name() -> None:
    names = (
        "NVIDIA A100-SXM4-80GB",
        "NVIDIA H100 PCIe",
        "NVIDIA H200",
        "NVIDIA GeForce RTX 4090",
        "NVIDIA A10G",
    )
    assert list(map(peak_of, names)) == [312.0, 756.0, 989.0, None, None]
    assert known_peak(torch.device("cpu"), "bfloat16") is None
