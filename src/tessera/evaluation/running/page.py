"""The page of a run and its predictions in the forms of other harnesses, made from what the run left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tessera.evaluation.comparing.run_page import RunReport, run_page
from tessera.evaluation.comparing.stored import StoredAnswer, StoredRun
from tessera.evaluation.predictions.lmms_eval import (
    AnswerSample,
    sample_files,
    write_results,
    write_samples,
)
from tessera.evaluation.predictions.servers import LETTERS, ServerAnswer, server_text
from tessera.evaluation.predictions.vlmevalkit import UNANSWERED, kit_file, kit_rows, write_kit_table
from tessera.evaluation.rows.open import Items
from tessera.pages.page import write_page
from tessera.runtime.atomic import atomic_write

PAGE = "page.html"
ExportForm = Literal["xlsx", "tsv", "json", "lmms-eval", "server"]


def write_run_page(folder: Path) -> Path:
    """The page beside `predictions.jsonl` and `result.json`, from what these say."""
    run = StoredRun.read(folder)
    write_page(folder / PAGE, run_page(run, RunReport.of(run)))
    return folder / PAGE


def export_run(
    folder: Path, items: Items, dataset: str, forms: Sequence[ExportForm], server: str | None = None
) -> list[Path]:
    """Predictions in the forms that are named: VLMEvalKit's tables, lmms-eval's samples, a server's.

    dataset: its name in that kit, the stem of its file. A question without an answer keeps its row. server:
    the benchmark's `export`, which the form "server" needs.
    """
    run = StoredRun.read(folder)
    model = run.result.model or "model"
    told = {answer.index: answer.prediction for answer in run.answers}
    written = []
    for form in forms:
        if form == "server":
            written.append(_server_file(folder, items, run, server))
            continue
        if form != "lmms-eval":
            file = kit_file(folder, model, dataset, form)
            write_kit_table(file, kit_rows(items, told, UNANSWERED))
            written.append(file)
            continue
        moment = datetime.now(UTC)
        samples, results = sample_files(folder, model, run.result.benchmark, moment)
        write_samples(samples, _samples(items, {answer.index: answer for answer in run.answers}))
        figures = {name: value for name, value in run.result.figures.items() if value is not None}
        settings = dict(run.result.settings)
        write_results(results, run.result.benchmark, figures, len(items), moment, model, settings)
        written += [samples, results]
    return written


def _server_file(folder: Path, items: Items, run: StoredRun, form: str | None) -> Path:
    name = run.result.benchmark
    if form is None:
        raise ValueError(f"{name} has no server that scores it")
    answers = [
        ServerAnswer(
            *(one.index, one.prediction, one.extracted, one.question, one.answers),
            picture=one.media[0].path.name if one.media else "",
        )
        for one in run.answers
    ]
    if form == LETTERS:
        file = folder / f"{name}_server.xlsx"
        told = {one.index: one.prediction if one.extracted is None else one.extracted for one in answers}
        write_kit_table(file, kit_rows(items, told, UNANSWERED))
        return file
    file = folder / f"{name}_server.{'jsonl' if form == 'humaneval' else 'json'}"
    with atomic_write(file) as stream:
        stream.write(server_text(form, answers).encode())
    return file


def _samples(items: Items, answers: Mapping[str, StoredAnswer]) -> Iterator[AnswerSample]:
    for place in range(len(items)):
        index, row = items.row(place)
        if (answer := answers.get(index)) is not None:
            target = answer.answers[0] if len(answer.answers) == 1 else str(list(answer.answers))
            figures = {"score": answer.score}
            yield AnswerSample(place, answer.prediction, target, str(answer.prompt), (), figures, row)
