"""The report page: one HTML file with nothing outside it, readable without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import zip_longest
from pathlib import Path

import PIL.Image

from tessera.chat.message import Image, Video
from tessera.evaluation.drawings import loss_curve, pack_picture
from tessera.evaluation.runner import Answered, Share, TaskResults
from tessera.evaluation.style import STYLE
from tessera.imaging.decode import decode_image
from tessera.playground.scene import SINGLE_PICTURE_TASKS

SAMPLE_HEIGHT, PAIR_HEIGHT, FRAME_HEIGHT = 160, 100, 64
"""Pixels on the page of a single picture, of one among several, and of a frame."""


@dataclass(frozen=True)
class StageResult:
    """One column of the table: a stage (or a whole model) with its figures.

    losses: (step, loss); tokens_per_second: trained on; pack_fill: 0..1, None where nothing was packed.
    """

    name: str
    results: TaskResults
    losses: Sequence[tuple[int, float]] = ()
    tokens_per_second: float | None = None
    pack_fill: float | None = None


@dataclass(frozen=True)
class Report:
    """Everything the page shows. `samples` are taken from the last stage when not given."""

    title: str
    stages: Sequence[StageResult]
    baseline: TaskResults | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    packs: Sequence[Sequence[int]] = ()
    pack_capacity: int = 0
    samples: Sequence[Answered] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("stages: none given; a report needs at least one StageResult")


def write_report(file: Path | str, report: Report) -> Path:
    """Write the page and return its path; folders are made."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render_report(report), encoding="utf-8")
    return file


def render_report(report: Report) -> str:
    """The page as HTML text."""
    samples = report.samples or mixed_samples(report.stages[-1].results)
    sections = [
        ("Accuracy", _accuracy_table(report)),
        ("Loss", _losses(report.stages)),
        ("Packs", pack_picture(report.packs, report.pack_capacity) if report.packs else ""),
        ("Questions and answers", _samples(samples)),
        ("Settings", _settings(report.settings)),
    ]
    body = "".join(f"<section><h2>{name}</h2>{content}</section>" for name, content in sections if content)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(report.title)}</h1><p class=quiet>{escape(report.note)}</p>{body}</body></html>\n"
    )


def mixed_samples(results: TaskResults, per_task: int = 2) -> list[Answered]:
    """A few answers of every task in the order asked, not chosen by whether they are right."""
    firsts = [result.answers[:per_task] for result in results.tasks.values()]
    return [answer for group in zip_longest(*firsts) for answer in group if answer is not None]


def _accuracy_table(report: Report) -> str:
    """Tasks as rows, stages as columns, the text-only baseline beside them, cost below."""
    columns = [(stage.name, stage.results) for stage in report.stages]
    if report.baseline is not None:
        columns.append(("text only", report.baseline))
    head = "".join(f"<th>{escape(name)}</th>" for name, _ in columns)
    tasks = list(dict.fromkeys(task for _, results in columns for task in results.tasks))
    rows = [row for task in tasks for row in _task_rows(task, [results for _, results in columns])]
    if set(tasks) & set(SINGLE_PICTURE_TASKS):
        means = [_percent(results.single_picture_mean) for _, results in columns]
        rows.append(_row("mean, one picture", means, "total"))
    rows.append(_row("mean, all tasks", [_percent(results.mean()) for _, results in columns], "total"))
    spare = [""] * (len(columns) - len(report.stages))
    speeds = [_or_dash(stage.tokens_per_second, "{:,.0f}") for stage in report.stages]
    fills = [_or_dash(stage.pack_fill, "{:.1%}") for stage in report.stages]
    rows += [_row("training tokens/s", speeds + spare), _row("pack fill", fills + spare)]
    asked = max(result.share.total for _, results in columns for result in results.tasks.values())
    note = f"<p class=quiet>Held-out questions, up to {asked} per task; in small print the 95 % interval.</p>"
    return f"<div class=wide><table><tr><th>task</th>{head}</tr>{''.join(rows)}</table></div>{note}"


def _row(name: str, cells: Sequence[str], kind: str = "") -> str:
    return f'<tr class="{kind}"><td>{escape(name)}</td>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _task_rows(task: str, columns: Sequence[TaskResults]) -> list[str]:
    """The row of a task, and one for its written steps if it has any."""
    found = [results.tasks.get(task) for results in columns]
    rows = [_row(task, [_cell(result.share if result else None) for result in found])]
    if any(result and result.steps.total for result in found):
        rows.append(
            _row(f"{task}, every step", [_cell(result.steps if result else None) for result in found])
        )
    return rows


def _cell(share: Share | None) -> str:
    """A bar, the accuracy and its interval."""
    if share is None or not share.total:
        return "–"
    low, high = share.interval
    bar = f'<span class="track"><span class="bar" style="width:{share.accuracy:.0%}"></span></span>'
    return f"{bar}{_percent(share.accuracy)}<small>{low * 100:.0f}–{high * 100:.0f}</small>"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _losses(stages: Sequence[StageResult]) -> str:
    curves = "".join(loss_curve(stage.name, stage.losses) for stage in stages if stage.losses)
    return f"<div class=row>{curves}</div>" if curves else ""


def _samples(samples: Sequence[Answered]) -> str:
    return f"<div class=samples>{''.join(map(_sample, samples))}</div>" if samples else ""


def _sample(answer: Answered) -> str:
    """One card: pictures, question, expected and predicted answer."""
    question = answer.item.question
    verdict = "right" if answer.right else "wrong"
    expected = "" if answer.right else f"<p>expected: {escape(question.answer)}</p>"
    parts = answer.item.scene.media
    media = "".join(_media(part, SAMPLE_HEIGHT if len(parts) == 1 else PAIR_HEIGHT) for part in parts)
    mark = "✓" if answer.right else "✗"
    return (
        f'<div class="sample"><div class="media">{media}</div>'
        f'<p class="task">{escape(question.task)}</p>'
        f"<p>{escape(question.text)}</p>"
        f'<p class="{verdict}">{escape(answer.prediction) or "(no answer)"} {mark}</p>'
        f"{expected}</div>"
    )


def _media(part: Image | Video, height: int) -> str:
    if isinstance(part, Image):
        return picture_tag(decode_image(part.source), height)
    if isinstance(part.source, tuple):
        return "".join(picture_tag(frame, FRAME_HEIGHT) for frame in part.source)
    return f"<span class=quiet>{escape(Path(part.source).name)}</span>"


def picture_tag(picture: PIL.Image.Image, height: int) -> str:
    """The picture inside an <img> tag as PNG, shown `height` pixels high with its pixels visible."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img alt="" height="{height}" src="data:image/png;base64,{data}">'


def _settings(settings: Mapping[str, object]) -> str:
    rows = "".join(
        f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>" for key, value in settings.items()
    )
    return f"<dl>{rows}</dl>" if rows else ""
