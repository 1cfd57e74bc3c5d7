"""The page of a run, from the files in its folder alone: while it goes on, and when it is over."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import PIL.Image

from tessera.pages import blocks
from tessera.pages.chart import Chart
from tessera.pages.page import HtmlPage, write_page
from tessera.train.watch.evaluation import EvaluationReport
from tessera.train.watch.journal import read_answers, read_mixture, read_reports, read_spikes
from tessera.train.watch.spikes import Spike
from tessera.train.watch.telemetry import StepReport, stage_figures

PAGE = "report.html"
MOST_POINTS = 600
"""Of a curve: of longer runs every n-th step is drawn, and every one that was measured."""
MOST_SPIKES, MOST_SAMPLES = 30, 12
"""Newest steps that stood out, and samples that are named of each; `spikes.jsonl` has all."""
EVERY_SECONDS = 30.0
"""Between two writings while a run goes on, at least."""


def write_run_page(folder: Path) -> Path:
    """Write `report.html` of a run. ValueError when it can't be written."""
    return write_page(folder / PAGE, run_page(folder))


def run_page(folder: Path) -> HtmlPage:
    """Curves, stages, the mixture as it was, steps that stand out, and answers with their pictures."""
    reports = list(read_reports(folder))
    if not reports:
        return HtmlPage(f"Run {folder.name}", "No step has been told yet.", ())
    last, skipped = reports[-1], sum(report.skipped for report in reports)
    where = f"stage {last.stage}, step {last.step + 1} of {last.steps}"
    if skipped:
        where += f"; steps skipped, for they were no number: {skipped}"
    answers = list(read_answers(folder))
    return HtmlPage(
        f"Run {folder.name}",
        where,
        (
            ("Curves", [blocks.SideBySide(charts(reports))]),
            ("Stages", [_stages(reports)]),
            ("Mixture seen", [_mixture(read_mixture(folder))]),
            ("Steps that stand out", _spikes(list(read_spikes(folder)))),
            ("Answers", [_scores(answers), *_examples(folder, answers[-1:])] if answers else []),
        ),
    )


def charts(reports: Sequence[StepReport]) -> list[Chart]:
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
            Chart(name, [(r.step, r.gradient_norm) for r in thin], "gradient norm"),
            _linear(name, [(r.step, r.factor) for r in thin], "rate, as a share of its peak"),
            _linear(name, [(r.step, r.tokens / r.seconds) for r in thin], "tokens/s"),
            _linear(name, [(r.step, 100 * r.wait / r.seconds) for r in thin], "waiting for data in %"),
        ]
    return made


def _linear(title: str, points: Sequence[tuple[int, float]], what: str) -> Chart:
    return Chart(title, points, what, "linear")


def _stages(reports: Iterable[StepReport]) -> blocks.Table:
    head = (
        "stage",
        "steps",
        "samples",
        "tokens",
        "supervised",
        "tokens/s",
        "fill",
        "wait",
        "loss",
        "held out",
    )
    rows: list[blocks.TableRow] = []
    for name, f in stage_figures(reports).items():
        held_out = f"{f['validation_loss']:.3f}" if "validation_loss" in f else "–"
        counts = [int(f[key]) for key in ("steps", "samples", "tokens", "trained")]
        shares = f"{f['token_fill']:.1%}", f"{f['wait'] / f['seconds']:.1%}"
        rows.append((name, *counts, f"{f['tokens_per_second']:,.0f}", *shares, f"{f['loss']:.3f}", held_out))
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
