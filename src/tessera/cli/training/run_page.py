"""The page of a run, from the files in its folder alone: while it goes on, and when it is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import PIL.Image
import tyro

from tessera.cli.command import ReportingCommand
from tessera.cli.terminal.tables import Terminal, say
from tessera.pages import blocks
from tessera.pages.chart import Chart
from tessera.pages.page import HtmlPage, write_page
from tessera.runtime.shown import shown
from tessera.train.watch.effort import RunEffort
from tessera.train.watch.evaluation import EvaluationReport
from tessera.train.watch.journal import TELEMETRY, read_answers, read_mixture, read_reports, read_spikes
from tessera.train.watch.spikes import Spike
from tessera.train.watch.telemetry import StepReport, stage_figures

PAGE = "report.html"
MOST_POINTS = 600
"""Of a curve: of longer runs every n-th step is drawn, and every one that was measured."""
MOST_SPIKES, MOST_SAMPLES = 30, 12
"""Newest steps that stood out, and samples that are named of each; `spikes.jsonl` has all."""
EVERY_SECONDS = 30.0
"""Between two writings while a run goes on, at least."""


@dataclass(frozen=True, kw_only=True)
class PageCommand(ReportingCommand):
    """Write the page of a run anew from the files in its folder; nothing is trained or measured."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of a run, going on or over."""
    to: Path | None = None
    """File of the page; RUN/report.html by default. A finished demo has a page of its own there."""
    peak: float | None = None
    """TFLOP/s that one device can do: the useful ones are told as a share of it (MFU); as the run knew it."""

    def targets(self) -> Mapping[Path, bool]:
        return {} if self.to is None else {self.to: False}

    def run(self) -> int:
        if not (self.folder / TELEMETRY).is_file():
            raise ValueError(f"{shown(self.folder)} holds no {TELEMETRY}: give a run's folder, its --out")
        page = write_run_page(self.folder, self.to, self.peak)
        self.tell(lambda: {"page": page}, lambda: say(Terminal(), f"page written to {page}"))
        return 0


def write_run_page(folder: Path, to: Path | None = None, peak: float | None = None) -> Path:
    """Write `report.html` of a run, or another file. ValueError when it can't be written.

    peak: TFLOP/s of a device, if another than the run knew.
    """
    return write_page(to or folder / PAGE, run_page(folder, peak))


def run_page(folder: Path, peak: float | None = None) -> HtmlPage:
    """Curves, stages, the mixture as it was, steps that stand out, and answers with their pictures."""
    reports = list(read_reports(folder))
    if not reports:
        return HtmlPage(f"Run {folder.name}", "No step has been told yet.", ())
    last, skipped = reports[-1], sum(report.skipped for report in reports)
    where = f"stage {last.stage}, step {last.step + 1} of {last.steps}"
    if skipped:
        where += f"; steps skipped, for they were no number: {skipped}"
    answers, effort = list(read_answers(folder)), RunEffort.read(folder)
    if peak is not None:
        effort = replace(effort, peak=peak)
    return HtmlPage(
        f"Run {folder.name}",
        where,
        (
            ("Curves", [blocks.SideBySide(charts(reports, effort))]),
            ("Stages", [_stages(reports, effort)]),
            ("Mixture seen", [_mixture(read_mixture(folder))]),
            ("Steps that stand out", _spikes(list(read_spikes(folder)))),
            ("Answers", [_scores(answers), *_examples(folder, answers[-1:])] if answers else []),
        ),
    )


def charts(reports: Sequence[StepReport], effort: RunEffort) -> list[Chart]:
    """A row of curves for each stage."""
    made = []
    for name in dict.fromkeys(report.stage for report in reports):
        own = [report for report in reports if report.stage == name]
        learned = [report for report in own if not report.skipped]
        thin = learned[:: max(1, len(learned) // MOST_POINTS)]
        held_out = [(r.step, r.validation_loss) for r in own if r.validation_loss is not None]
        asked = [(r.step, 100 * r.score) for r in own if r.score is not None]
        made += [
            Chart(name, [(r.step, r.loss) for r in thin]),
            *([Chart(f"{name}, held out", held_out)] if held_out else []),
            *([_linear(f"{name}, held out", asked, "right answers in %")] if asked else []),
            *_figures(name, thin),
            Chart(name, [(r.step, r.gradient_norm) for r in thin], "gradient norm"),
            _linear(name, [(r.step, r.factor) for r in thin], "rate, as a share of its peak"),
            _linear(name, [(r.step, r.tokens / r.seconds) for r in thin], "tokens/s"),
            _linear(name, [(r.step, 100 * r.wait / r.seconds) for r in thin], "waiting for data in %"),
            *_used(name, [(r.step, effort.useful([r])) for r in thin]),
        ]
    return made


def _used(title: str, useful: Sequence[tuple[int, dict[str, float]]]) -> list[Chart]:
    """MFU where a peak is known, useful TFLOP/s where not, nothing where they aren't counted."""
    for key, factor, what in (("mfu", 100, "MFU in %"), ("tflops", 1, "useful TFLOP/s")):
        if points := [(step, factor * values[key]) for step, values in useful if key in values]:
            return [_linear(title, points, what)]
    return []


def _figures(title: str, reports: Sequence[StepReport]) -> list[Chart]:
    """A curve for each figure of the objective."""
    names = dict.fromkeys(name for report in reports for name in report.figures)
    return [
        _linear(title, [(r.step, r.figures[n]) for r in reports if n in r.figures], n.replace("_", " "))
        for n in names
    ]


def _linear(title: str, points: Sequence[tuple[int, float]], what: str) -> Chart:
    return Chart(title, points, what, "linear")


def _stages(reports: Sequence[StepReport], effort: RunEffort) -> blocks.Table:
    counts = ("stage", "steps", "samples", "tokens", "supervised")
    head = (*counts, "tokens/s", "fill", "wait", "TFLOP/s", "MFU", "loss", "held out")
    rows: list[blocks.TableRow] = []
    for name, f in stage_figures(reports).items():
        useful = effort.useful(report for report in reports if report.stage == name)
        tflops = f"{useful['tflops']:.3g}" if useful else "–"
        mfu = f"{useful['mfu']:.1%}" if "mfu" in useful else "–"
        held_out = f"{f['validation_loss']:.3f}" if "validation_loss" in f else "–"
        numbers = [int(f[key]) for key in ("steps", "samples", "tokens", "trained")]
        shares = f"{f['tokens_per_second']:,.0f}", f"{f['token_fill']:.1%}", f"{f['wait'] / f['seconds']:.1%}"
        rows.append((name, *numbers, *shares, tflops, mfu, f"{f['loss']:.3f}", held_out))
    return blocks.Table(head, rows)


def _mixture(stages: dict[str, dict[str, dict[str, int]]]) -> blocks.Table:
    """What each source really gave, in samples, tokens and tiles."""
    rows: list[blocks.TableRow] = []
    for stage, sources in stages.items():
        tokens = sum(tally["tokens"] for tally in sources.values()) or 1
        for source, tally in sources.items():
            share = blocks.BarCell(tally["tokens"] / tokens, f"{tally['tokens'] / tokens:.1%}")
            rows.append((f"{stage}: {source}", share, *(tally[k] for k in ("samples", "tokens", "tiles"))))
    return blocks.Table(("source", "of the tokens", "samples", "tokens", "tiles"), rows)


def _spikes(spikes: Sequence[Spike]) -> list[blocks.PageBlock]:
    """The newest first, with the samples to look at."""
    if not spikes:
        return ["None."]
    rows = []
    for spike in reversed(spikes[-MOST_SPIKES:]):
        named, more = ", ".join(spike.samples[:MOST_SAMPLES]), len(spike.samples) - MOST_SAMPLES
        where, loss = f"{spike.stage}, {spike.step}", f"{spike.loss:.3f} (usual {spike.median:.3f})"
        rows.append((where, loss, named + (f" and {more} more in spikes.jsonl" if more > 0 else "")))
    note = f"{len(spikes)} in all; a loss far above those of the 50 steps before it."
    return [blocks.Table(("step", "loss", "samples of the step"), rows, words=True), note]


def _scores(answers: Sequence[EvaluationReport]) -> blocks.Table:
    """Right answers by task over the run."""
    tasks = list(dict.fromkeys(task for report in answers for task in report.answers.asked))
    rows = []
    for report in answers:
        right, asked = report.answers.right, report.answers.asked
        shares = (f"{right[task]} of {asked[task]}" if task in asked else "–" for task in tasks)
        rows.append((f"{report.stage}, {report.step + 1}", *shares))
    return blocks.Table(("stage, step", *tasks), rows)


def _examples(folder: Path, answers: Sequence[EvaluationReport]) -> list[blocks.PageBlock]:
    """Questions of the last time, with picture, answer and what is right."""
    cards = []
    for example in (e for report in answers for e in report.answers.examples):
        verdict = ("good", f"{example.answer} ✓") if example.right else ("bad", f"{example.answer} ✗")
        expected = [] if example.right else [("", f"expected: {example.expected}")]
        file = folder / example.picture
        media = []
        if example.picture and file.is_file():
            with PIL.Image.open(file) as picture:
                media = [blocks.ShownMedia(picture=picture.convert("RGB"), height=160)]
        cards.append(blocks.SampleCard([example.task], media, [("", example.question), verdict, *expected]))
    return [blocks.SampleCards(cards, narrow=True)]
