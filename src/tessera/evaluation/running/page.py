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
from tessera.evaluation.predictions.vlmevalkit import UNANSWERED, kit_file, kit_rows, write_kit_table
from tessera.evaluation.rows.open import Items
from tessera.pages.page import write_page

PAGE = "page.html"
ExportForm = Literal["xlsx", "tsv", "json", "lmms-eval"]


def write_run_page(folder: Path) -> Path:
    """The page beside `predictions.jsonl` and `result.json`, from what these say."""
    run = StoredRun.read(folder)
    write_page(folder / PAGE, run_page(run, RunReport.of(run)))
    return folder / PAGE


def export_run(folder: Path, items: Items, dataset: str, forms: Sequence[ExportForm]) -> list[Path]:
    """Predictions in the forms that are named: VLMEvalKit's tables (by kind), lmms-eval's samples.

    dataset: its name in that kit, the stem of its file. A question without an answer keeps its row.
    """
    run = StoredRun.read(folder)
    model = run.result.model or "model"
    told = {answer.index: answer.prediction for answer in run.answers}
    written = []
    for form in forms:
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


def _samples(items: Items, answers: Mapping[str, StoredAnswer]) -> Iterator[AnswerSample]:
    for place in range(len(items)):
        index, row = items.row(place)
        if (answer := answers.get(index)) is not None:
            target = answer.answers[0] if len(answer.answers) == 1 else str(list(answer.answers))
            figures = {"score": answer.score}
            yield AnswerSample(place, answer.prediction, target, str(answer.prompt), (), figures, row)
