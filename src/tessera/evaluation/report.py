"""The report page: accuracy by task and stage, losses, packs, and questions with their answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from tessera.audio.sources import name_of
from tessera.chat.message import Audio, Image, Medium
from tessera.evaluation.candidates import CurvePoint
from tessera.evaluation.runner import Answered, Proportion, TaskResults
from tessera.imaging.decode import decode_image
from tessera.pages import blocks
from tessera.pages.chart import Chart
from tessera.pages.page import HtmlPage
from tessera.playground.scene import SINGLE_PICTURE_TASKS

SAMPLE_HEIGHT, PAIR_HEIGHT, FRAME_HEIGHT = 160, 100, 64
"""Pixels on the page of a single picture, of one among several, and of a frame."""

COSTS = ("tokens a question", "seconds", "critic's seconds")


@dataclass(frozen=True)
class StageResult:
    """One column of the table: a stage (or a whole model) with its figures.

    losses: (step, loss); tokens_per_second: trained on; pack_fill: 0..1, None where nothing was packed;
    validation: (step, loss on records held out).
    """

    name: str
    results: TaskResults
    losses: Sequence[tuple[int, float]] = ()
    tokens_per_second: float | None = None
    pack_fill: float | None = None
    validation: Sequence[tuple[int, float]] = ()


@dataclass(frozen=True)
class Report:
    """Everything the page shows.

    packs: tokens of every sample, pack by pack; pack_capacity: tokens that a pack can hold. curve: accuracy
    against the number of candidates.
    """

    title: str
    stages: Sequence[StageResult]
    baseline: TaskResults | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    packs: Sequence[Sequence[int]] = ()
    pack_capacity: int = 0
    curve: Sequence[CurvePoint] = ()

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("stages: none given; a report needs at least one StageResult")


def report_page(report: Report) -> HtmlPage:
    """The page of a report. ValueError for a loss that is not finite and a pack above the capacity."""
    charts = [
        Chart(name, points)
        for stage in report.stages
        for name, points in ((stage.name, stage.losses), (f"{stage.name}, validation", stage.validation))
        if points
    ]
    packs = [[blocks.PackedSample("sample", length) for length in pack] for pack in report.packs]
    cards = [_card(answer) for answer in mixed_samples(report.stages[-1].results)]
    settings = [(str(key), str(value)) for key, value in report.settings.items()]
    sections = (
        ("Accuracy", _accuracy(report)),
        ("Accuracy by number of candidates", _curve(report.curve)),
        ("Loss", [blocks.SideBySide(charts)]),
        ("Packs", [blocks.PackDrawing(packs, report.pack_capacity)] if packs else []),
        ("Questions and answers", [blocks.SampleCards(cards, narrow=True)]),
        ("Settings", [blocks.Table(("setting", "value"), settings, words=True)]),
    )
    return HtmlPage(report.title, "", sections)


def mixed_samples(results: TaskResults, per_task: int = 2) -> list[Answered]:
    """A few answers of every task in the order asked, not chosen by whether they are right."""
    firsts = [result.answers[:per_task] for result in results.tasks.values()]
    return [answer for group in zip_longest(*firsts) for answer in group if answer is not None]


def _accuracy(report: Report) -> tuple[blocks.Table, str]:
    """Tasks as rows, stages as columns, the text-only baseline beside them, cost below."""
    baseline = () if report.baseline is None else (("text only", report.baseline),)
    names, columns = zip(*((stage.name, stage.results) for stage in report.stages), *baseline, strict=True)
    tasks = list(dict.fromkeys(task for results in columns for task in results.tasks))
    rows: list[blocks.TableRow] = [row for task in tasks for row in _task_rows(task, columns)]
    means = {"mean, all tasks": [_percent(results.mean()) for results in columns]}
    if set(tasks) & set(SINGLE_PICTURE_TASKS):
        means = {"mean, one picture": [_percent(r.single_picture_mean) for r in columns], **means}
    rows += [(name, *cells) for name, cells in means.items()]
    speeds = (_or_dash(stage.tokens_per_second, "{:,.0f}") for stage in report.stages)
    fills = (_or_dash(stage.pack_fill, "{:.1%}") for stage in report.stages)
    spare = [""] * len(baseline)
    rows += [("training tokens/s", *speeds, *spare), ("pack fill", *fills, *spare)]
    asked = max(result.share.total for results in columns for result in results.tasks.values())
    note = f"Held-out questions, up to {asked} per task; in small print, and as a line, the 95 % interval."
    return blocks.Table(("task", *names), rows, strong=means), note


def _curve(points: Sequence[CurvePoint]) -> list[blocks.PageBlock]:
    """A chart for each rule, and the figures with their cost."""
    if not points:
        return []
    names = list(points[0].shares)
    shares = [point.shares[name] * 100 for point in points for name in names]
    span = min(shares), max(shares)
    drawn = [
        Chart(
            name,
            [(point.k, point.shares[name] * 100) for point in points],
            "accuracy in %",
            "linear",
            axis="candidates:",
            smoothed=False,
            span=span,
        )
        for name in names
    ]
    rows = [(str(p.k), *(_percent(p.shares[name]) for name in names), *curve_costs(p)) for p in points]
    return [blocks.SideBySide(drawn), blocks.Table(("candidates", *names, *COSTS), rows)]


def curve_costs(point: CurvePoint) -> tuple[str, str, str]:
    """Of a question, in words; in the order of `COSTS`."""
    return f"{point.tokens:,.0f}", f"{point.seconds:.3f}", f"{point.critic_seconds:.3f}"


def _task_rows(task: str, columns: Sequence[TaskResults]) -> list[blocks.TableRow]:
    """The row of a task, and one for its written steps if it has any."""
    found = [results.tasks.get(task) for results in columns]
    rows: list[blocks.TableRow] = [(task, *(_cell(r.share if r else None) for r in found))]
    if any(result and result.steps.total for result in found):
        rows.append((f"{task}, every step", *(_cell(r.steps if r else None) for r in found)))
    return rows


def _cell(share: Proportion | None) -> blocks.TableCell:
    """A bar, the accuracy and its interval."""
    if share is None or not share.total:
        return "–"
    low, high = share.interval
    said = f"{low * 100:.0f}–{high * 100:.0f}"
    return blocks.BarCell(share.accuracy, _percent(share.accuracy), said, share.interval)


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _card(answer: Answered) -> blocks.SampleCard:
    """Pictures, question, predicted answer, and the expected one when that is another."""
    question, parts = answer.item.question, answer.item.scene.media
    height = SAMPLE_HEIGHT if len(parts) == 1 else PAIR_HEIGHT
    said = answer.prediction or "(no answer)"
    verdict = ("good", f"{said} ✓") if answer.right else ("bad", f"{said} ✗")
    expected = [] if answer.right else [("", f"expected: {question.answer}")]
    media = [shown for part in parts for shown in shown_media(part, height)]
    return blocks.SampleCard([question.task], media, [("", question.text), verdict, *expected])


def shown_media(part: Medium, height: int) -> list[blocks.ShownMedia]:
    """A picture, or the frames of a clip, so high on the page; of a clip's file or of a sound its name."""
    if isinstance(part, Image):
        return [blocks.ShownMedia(picture=decode_image(part.source, reading=part.reading), height=height)]
    if isinstance(part.source, tuple):
        return [blocks.ShownMedia(picture=decode_image(frame), height=FRAME_HEIGHT) for frame in part.source]
    if isinstance(part, Audio):
        return [blocks.ShownMedia(name_of(part.source))]
    return [blocks.ShownMedia(Path(part.source).name)]
