"""`tessera evaluate MODEL`: its options, and who does what they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tessera.align.prompts import PROMPTS
from tessera.align.test_time.settings import CandidateSampling
from tessera.cli.preference.sample import RequestingCommand
from tessera.cli.serving.answering import Defaults
from tessera.cli.serving.selecting import SelectionArguments
from tessera.evaluation.running.page import ExportForm
from tessera.runtime.http import RequestLimits
from tessera.runtime.shown import shown

WEIGHTS = (".safetensors", ".bin", ".pt", ".json")
"""Endings of a checkpoint's files."""
PRESET_COT = "preset"
"""Asks for reasoning as the preset does."""


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(RequestingCommand):
    """Measure a model: on benchmarks (--on), or on held-out questions about drawn pictures and clips."""

    model: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="MODEL")] = None
    """Checkpoint folder, or a model's name; the shipped scale model by default."""
    http: RequestLimits = RequestLimits(concurrency=64)
    """How patiently, and how many at once, a server is asked."""
    on: tuple[str, ...] = ()
    """Benchmarks by name, suites of them, or your own YAML files (docs/evaluate.md)."""
    list: bool = False
    """Show the benchmarks that --on names, or all: size, metric, published scores, whether data are here."""
    preset: str = "official"
    """Prompts, tiles, tokens and scorers of: official, vlmevalkit, lmms-eval; with @version to be sure."""
    data: Path | None = None
    """Folder of the benchmarks' files; TESSERA_DATA, LMUData or ~/LMUData by default."""
    form: str | None = None
    """Form of the data, such as vlmevalkit; the preset's, or the first that is there, by default."""
    to: Path | None = None
    """With --on: folder that keeps predictions, figures and pages; runs/evaluation/MODEL by default."""
    shard: str | None = None
    """With --on: K/N asks every N-th question from the K-th; whoever ends last scores all."""
    judge: str | None = None
    """With --on: address of a server that judges open answers; without it rules alone do."""
    judge_model: str | None = None
    """The judge's name there; the first that the server lists by default."""
    explain: str | None = None
    """With --on and --to: everything about the question of this index: prompt, tiles, reply, verdict."""
    compare: tuple[Path, ...] = ()
    """Folders of two runs: paired differences with intervals, and the questions that flipped."""
    predictions: Path | None = None
    """With --on: score this file of answers in place of asking (ours, VLMEvalKit's, lmms-eval's)."""
    export: tuple[ExportForm, ...] = ()
    """With --on: write predictions for others, too: xlsx, tsv, json (VLMEvalKit's); lmms-eval; server."""
    order: bool = False
    """With --on: ask choices in rotated orders, too, and tell how often the answer stays."""
    seen_in: Path | None = None
    """With --on: meta file of training data; questions whose picture or text stands there are told."""
    count: int | None = None
    """Questions per task (200), or the first ones of a benchmark (all)."""
    tasks: tuple[str, ...] = ()
    """Drawn tasks to run, also `clock` and `reason`; those of the shipped mixture by default."""
    level: int = 2
    """How hard drawn pictures are: 1 easy, 2 standard, 3 harder."""
    blind: bool = False
    """Ask every question a second time without its picture: the text-only baseline."""
    cot: str | None = None
    """Prompt that asks for reasoning: such as en_v2, or `preset` for the preset's own."""
    selecting: Annotated[SelectionArguments, tyro.conf.arg(name="")] = SelectionArguments()
    asking: Annotated[CandidateSampling, tyro.conf.arg(name="")] = CandidateSampling()
    batch: int = 64
    """Drawn questions answered together."""
    out: Path | None = None
    """Write a page (HTML) here: of drawn tasks, or of a comparison."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.out: False} if self.out else {}

    def run(self) -> int:
        self._check()
        if self.compare:
            from tessera.cli.evaluation.comparing import compare_runs_of

            return compare_runs_of(self)
        if self.explain is not None:
            from tessera.cli.evaluation.explaining import explain_answer

            return explain_answer(self)
        if self.list:
            from tessera.cli.evaluation.listing import list_benchmarks

            return list_benchmarks(self)
        if self.on:
            from tessera.cli.evaluation.benchmarks import BenchmarkEvaluation

            return BenchmarkEvaluation(self).run()
        from tessera.cli.evaluation.drawn import DrawnEvaluation

        return DrawnEvaluation(self).run()

    def _asked_of(self, defaults: Defaults) -> str:
        """What answers depend on, the weights included: a model that was trained on is another one."""
        folder = Path(self.model) if self.model else None
        if self.endpoint is not None or folder is None or not folder.is_dir():
            return super()._asked_of(defaults)
        found = sorted(file for file in folder.iterdir() if file.suffix in WEIGHTS)
        stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in found]
        return f"{super()._asked_of(defaults)} {stamps}"

    @property
    def selects(self) -> bool:
        """Whether answers are read by a prompt's rule, or chosen among several."""
        return self.cot is not None or self.selecting.number > 1

    def _check(self) -> None:
        """ValueError for settings that can't be, before the model is opened."""
        self.selecting.check()
        self.at_least(count=1, level=1, batch=1)
        counts = {self.selecting.best_of, self.selecting.majority} - {None}
        if len(counts) > 1:
            raise ValueError("--best-of and --majority: give one number, both are read off one sampling")
        known = (*PROMPTS, PRESET_COT) if self.on else PROMPTS
        if self.cot is not None and self.cot not in known:
            raise ValueError(f"--cot {shown(self.cot)}: choose one of {', '.join(known)}")
        if self.selecting.number > 1 and not self.asking.temperature:
            raise ValueError("--temperature 0: all candidates would be alike; give one above 0")
        for name in ("explain", "predictions", "shard", "judge", "seen_in", "form", "to"):
            if getattr(self, name) is not None and not self.on:
                option = f"--{name.replace('_', '-')}"
                raise ValueError(f"{option}: belongs to benchmarks; name them by --on, or leave it out")
        if self.tasks and self.on:
            raise ValueError("--tasks: drawn tasks are run without --on; leave one of them out")
