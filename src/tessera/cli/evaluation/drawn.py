"""Accuracy on held-out playground tasks, as a table, as JSON, as a page."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from rich.table import Table

import tessera
from tessera.align.prompts import write_prompt
from tessera.align.test_time.answering import scores_of
from tessera.align.test_time.settings import USUAL_TOKENS
from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.evaluation.command import EvaluateCommand
from tessera.cli.terminal.tables import Terminal, figures_table
from tessera.engine.engine import Engine
from tessera.engine.resolution.looker import looking
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.candidates import CandidateAsking, CurvePoint, curve_json, evaluate_candidates
from tessera.evaluation.report import COSTS, Report, StageResult, curve_costs, report_page
from tessera.evaluation.runner import TaskResults, evaluate
from tessera.evaluation.tasks import choose_tasks, most_tokens
from tessera.pages.page import write_page
from tessera.playground.scene import ALL_TASKS, SINGLE_PICTURE_TASKS
from tessera.playground.talk import Mode
from tessera.runtime.device import choose_device, choose_dtype
from tessera.runtime.progress import progress_bars
from tessera.scoring.selection.rule import SelectionRule

LABELS = ("with picture", "text only")
WIDE = 110
"""Columns of a terminal in which the table has room to say what a task asks for."""


@dataclass(frozen=True)
class DrawnEvaluation:
    """What `tessera evaluate` does without --on."""

    command: EvaluateCommand

    def run(self) -> int:
        """Measure, write the page, tell."""
        given, loading = self.command, self.command.loading
        if given.endpoint is not None:
            raise ValueError(
                "--endpoint: drawn tasks run a model here; name benchmarks by --on, or leave it out"
            )
        device = choose_device(loading.device)
        folder, adapter = find_with_adapter(given.model or shipped_folder(), loading.adapter)
        dtype = choose_dtype("float32" if loading.dtype == "auto" else loading.dtype, device)
        loaded = load_checkpoint(folder, device, dtype, adapter=adapter)
        loaded = replace(loaded, encoder=looking(loaded.model, loaded.encoder))
        measure = self.measure_chosen if given.selects else self.measure
        results, curve = measure(loaded, "picture")
        baseline = measure(loaded, "blind")[0] if given.blind else None
        if given.out:
            write_page(given.out, report_page(page(loading.device, loaded, results, baseline, curve)))
        told = {"curve": curve_json(curve)} if curve else {}
        given.tell(
            lambda: {"picture": results.summary(), "blind": baseline.summary() if baseline else None} | told,
            lambda: self.show(results, baseline, curve),
        )
        return 0

    @property
    def _count(self) -> int:
        return 200 if self.command.count is None else self.command.count

    @contextmanager
    def _asked(self, mode: Mode) -> Iterator[dict[str, Any]]:
        """How both are asked, with a bar."""
        with progress_bars() as bars:
            label = LABELS[mode == "blind"]
            yield {
                "level": self.command.level,
                "batch": self.command.batch,
                "progress": lambda _, done, total: bars(label, done, total),
            }

    def measure(self, loaded: Loaded, mode: Mode) -> tuple[TaskResults, Sequence[CurvePoint]]:
        """One evaluation."""
        with self._asked(mode) as asked:
            return evaluate(
                Engine.of(loaded), loaded.encoder, self.command.tasks, self._count, mode, **asked
            ), ()

    def measure_chosen(self, loaded: Loaded, mode: Mode) -> tuple[TaskResults, Sequence[CurvePoint]]:
        """One evaluation of what is chosen among several candidates."""
        with self._asked(mode) as asked:
            asking = self._asking(loaded)
            found = evaluate_candidates(
                Engine.of(loaded), loaded.encoder, asking, self.command.tasks, self._count, mode, **asked
            )
        curve = found.curve(self._rules) if found.n > 1 else ()
        return found.chosen(self.command.selecting.rule), curve

    @property
    def _rules(self) -> dict[str, SelectionRule]:
        """Rules of the curve: what was asked for, and what else the same candidates tell."""
        chosen = self.command.selecting
        rules = {"majority": SelectionRule("majority", chosen.vote, chosen.ties)}
        return rules | ({} if chosen.critic is None else {"best of": SelectionRule("best_of")})

    def _asking(self, loaded: Loaded) -> CandidateAsking:
        version, chosen, asking = self.command.cot, self.command.selecting, self.command.asking
        weighed = "logprob" in (chosen.vote, chosen.ties)
        sampling = Sampling(
            temperature=asking.temperature,
            top_k=asking.top_k,
            top_p=asking.top_p,
            seed=asking.seed,
            max_new_tokens=asking.new_tokens or self._usual_tokens(loaded),
            logprobs=0 if weighed else None,
        )
        critic = chosen.open(self.command.loading.device)
        return CandidateAsking(
            chosen.number,
            sampling,
            asking.greedy_first,
            str if version is None else partial(write_prompt, version=version, pictures=0),
            version,
            None if critic is None else partial(scores_of, critic),
            asking.max_tiles,
        )

    def _usual_tokens(self, loaded: Loaded) -> int:
        """Room for reasoning, or for answers to the tasks as they are."""
        if self.command.cot is None:
            return most_tokens(choose_tasks(self.command.tasks))
        return min(USUAL_TOKENS, loaded.family.model.decoder.longest_context // 2)

    def show(
        self, results: TaskResults, baseline: TaskResults | None, curve: Sequence[CurvePoint] = ()
    ) -> None:
        """The table, the curve, the speed, and where the page is."""
        console = Terminal()
        console.print(accuracy_table(results, baseline, explained=console.width >= WIDE))
        if curve:
            console.print(curve_table(curve))
        print(f"{results.tokens_per_second:,.0f} tokens/s (prompts and answers)")
        print(
            f"report: {self.command.out}" if self.command.out else "a page with pictures: --out report.html"
        )


def accuracy_table(
    results: TaskResults, baseline: TaskResults | None = None, explained: bool = True
) -> Table:
    """Tasks as rows: accuracy with its 95 % interval, the baseline, and what the task asks if `explained`."""
    table = figures_table("task", "accuracy", "95 %", "n", *(["text only"] if baseline else []))
    if explained:
        table.add_column("asks for", style="dim", no_wrap=True)
    others = [baseline] if baseline else []
    for name, result in results.tasks.items():
        low, high = result.share.interval
        cells = [f"{result.share.accuracy:.1%}", f"{low:.0%} to {high:.0%}", str(result.share.total)]
        cells += [f"{other.tasks[name].share.accuracy:.1%}" for other in others]
        table.add_row(name, *cells, *([ALL_TASKS[name]] if explained else []))
    table.add_section()
    means = {"mean, one picture": SINGLE_PICTURE_TASKS, "mean, all tasks": tuple(results.tasks)}
    for line, tasks in means.items():
        if set(tasks) & set(results.tasks):
            first, *rest = [f"{side.mean(tasks):.1%}" for side in (results, *others)]
            table.add_row(line, first, "", "", *rest, style="bold")
    return table


def curve_table(curve: Sequence[CurvePoint]) -> Table:
    """Accuracy of each rule, tokens and seconds of a question, by the number of candidates."""
    table = figures_table("candidates", *curve[0].shares, *COSTS)
    for point in curve:
        table.add_row(str(point.k), *(f"{share:.1%}" for share in point.shares.values()), *curve_costs(point))
    return table


def page(
    device: str,
    loaded: Loaded,
    results: TaskResults,
    baseline: TaskResults | None,
    curve: Sequence[CurvePoint] = (),
) -> Report:
    """The report of one model."""
    name = loaded.family.name
    versions = {"tessera": tessera.__version__, "torch": torch.__version__, "device": device}
    settings = {"model": name, **versions, **results.settings, **loaded.card}
    return Report(f"Tessera: {name}", [StageResult(name, results)], baseline, settings, curve=curve)
