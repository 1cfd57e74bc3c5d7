"""What is shown while a run goes on: the note beside the bar, the run's page, and a tracker's numbers."""

import math
import time
from collections import deque
from pathlib import Path

from tessera.cli.training.run_page import EVERY_SECONDS, write_run_page
from tessera.cli.training.track import Tracker, open_tracker
from tessera.runtime.device import known_peak
from tessera.runtime.progress import Bars
from tessera.train.loop import Trainer
from tessera.train.objective.learner import ChatLearner
from tessera.train.plan.flops import effort_of
from tessera.train.plan.shape import stage_model
from tessera.train.watch.effort import RunEffort
from tessera.train.watch.preferences import WINDOW, preference_warnings
from tessera.train.watch.telemetry import StepReport

TRACKED = ("loss", "gradient_norm", "factor", "token_fill", "tile_fill", "validation_loss", "score")


class Watching:
    """Takes the reports of a run; the process that leads writes. `track`: a tracker's name.

    peak: TFLOP/s that a device can do, of which the useful ones are told as a share (MFU); by default what
    the data sheet of a known device says.
    """

    def __init__(
        self, trainer: Trainer, bars: Bars, track: str | None = None, peak: float | None = None
    ) -> None:
        self._bars, self._folder = bars, trainer.folder if trainer.ranks.leads else None
        stages = trainer.recipe.stages
        self._before = [sum(stage.steps for stage in stages[:index]) for index in range(len(stages))]
        settings = trainer.recipe.model_dump(mode="json")
        self._tracker = _tracker(track, self._folder, settings) if track else None
        self._effort = _effort(trainer, peak)
        if self._folder is not None:
            self._effort.write(self._folder)
        self._measured: dict[str, str] = {}
        self._last: deque[StepReport] = deque(maxlen=WINDOW)
        self.warned: dict[str, str] = {}
        """Kinds of warnings so far, and what they said first."""
        self._due = time.monotonic() + EVERY_SECONDS

    def see(self, report: StepReport) -> list[str]:
        """One step; returns what is to be warned of for the first time."""
        self._bars(report.stage, report.step + 1, report.steps, self._note(report))
        if self._tracker:
            useful = self._effort.useful([report])
            values = tracked(report) | {f"train/{name}": value for name, value in useful.items()}
            self._tracker(self._before[report.stage_index] + report.step, values)
        if time.monotonic() > self._due:
            self._write_page()
        return self._warnings(report)

    def _warnings(self, report: StepReport) -> list[str]:
        if self._last and self._last[-1].stage_index != report.stage_index:
            self._last.clear()
        self._last.append(report)
        found = preference_warnings(tuple(self._last))
        fresh = [text for kind, text in found.items() if kind not in self.warned]
        self.warned = found | self.warned
        return [f"stage {report.stage}, step {report.step}: {text}" for text in fresh]

    def close(self) -> None:
        """The page as it is in the end."""
        if self._tracker:
            self._tracker(0, None)
        self._write_page()

    def _note(self, report: StepReport) -> str:
        """Loss, what was measured last, supervised tokens a second, norm, fill, time spent on waiting."""
        measured = {"held out": report.validation_loss, "right": report.score}
        self._measured |= {
            f"{report.stage} {k}": f"{k} {v:.3f}" for k, v in measured.items() if v is not None
        }
        last = [text for key, text in self._measured.items() if key.startswith(f"{report.stage} ")]
        seconds = max(report.seconds, 1e-9)
        return "  ".join(
            [f"loss {report.loss:.3f}", *_pairs(report), *last]
            + [f"{report.trained / seconds:,.0f} supervised tok/s", f"norm {report.gradient_norm:.2f}"]
            + [f"fill {report.token_fill:.0%}", f"wait {report.wait / seconds:.0%}"]
            + self._told_useful(report)
        )

    def _told_useful(self, report: StepReport) -> list[str]:
        useful = self._effort.useful([report])
        if "mfu" in useful:
            return [f"MFU {useful['mfu']:.1%}"]
        return [f"{speed:.3g} TFLOP/s" for speed in useful.values()]

    def _write_page(self) -> None:
        began = time.monotonic()
        if self._folder is not None and (self._folder / "telemetry.jsonl").is_file():
            write_run_page(self._folder)
        now = time.monotonic()  # of a long run the page takes longer: it gets a hundredth of the time
        self._due = now + max(EVERY_SECONDS, 100 * (now - began))


def _pairs(report: StepReport) -> list[str]:
    """Margin, and share of pairs with one, where pairs are learned from."""
    found = report.figures
    return [f"margin {found['margin']:.2f} ({found['accuracy']:.0%} right)"] if "margin" in found else []


def tracked(report: StepReport) -> dict[str, float]:
    """The numbers of a step for a tracker, without those that are none."""
    values = {name: getattr(report, name) for name in TRACKED}
    seconds = max(report.seconds, 1e-9)
    values |= {"tokens_per_second": report.tokens / seconds, "wait": report.wait / seconds}
    values["supervised_tokens_per_second"] = report.trained / seconds
    values |= report.figures
    known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    return {f"train/{name}": value for name, value in known.items()}


def _effort(trainer: Trainer, peak: float | None) -> RunEffort:
    """Useful operations of every stage of a chat model, and what all devices can do."""
    learner, recipe = trainer.setup.learner, trainer.recipe
    if not isinstance(learner, ChatLearner):
        return RunEffort()
    config, family = learner.model.config, learner.family
    shapes = ((stage.rules, stage_model(config, stage.rules, family)) for stage in recipe.stages)
    efforts = tuple(effort_of(config, rules, model) for rules, model in shapes)
    known = known_peak(trainer.device, recipe.precision) if peak is None else peak
    return RunEffort(efforts, known, trainer.ranks.world)


def _tracker(name: str, folder: Path | None, settings: dict[str, object]) -> Tracker | None:
    return None if folder is None else open_tracker(name, folder, settings)
