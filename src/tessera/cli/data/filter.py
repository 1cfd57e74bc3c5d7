"""`tessera data filter MANIFEST`: rules and model scores, a review page, a clean manifest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from tessera.cli.data.input import Bars, progress_bars
from tessera.curation.filters.clean import Cleaned, refuse_overwriting, write_clean
from tessera.curation.filters.config import JudgeModelConfig, read_config
from tessera.curation.filters.models.endpoint import EndpointScorer
from tessera.curation.filters.models.model_steps import load_prompts
from tessera.curation.filters.models.scorer import Scorer
from tessera.curation.filters.outcome import Decisions, read_decisions
from tessera.curation.filters.review import write_review
from tessera.curation.filters.run import VERDICT_FILE, Run, Summary
from tessera.curation.filters.sources import open_filtered
from tessera.records.manifest import read_meta


@dataclass(frozen=True)
class Arguments:
    """Judge every record of a manifest by rules and, if asked, by a model. Nothing is deleted.

    OUT gets verdicts.jsonl (a row per verdict) and review.html (look, overrule, download decisions.json).
    With --decisions or --write it also gets meta.json (the clean manifest), clean/ and rejects.jsonl.
    """

    manifest: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MANIFEST")]
    """Manifest or InternVL's meta file: dataset name to annotation, root and more."""
    out: Path
    """Folder for verdicts, review page, replies of the model and the clean manifest."""
    config: Path | None = None
    """YAML file with rules, model and thresholds; all rules at their defaults without one."""
    decisions: Path | None = None
    """The review page's file, or JSON lines with source, record and verdict: write the clean manifest."""
    write: bool = False
    """Write the clean manifest by the verdicts alone; borderline records as the config says."""
    workers: int | None = None
    """Processes for the rules; one per core by default, 0 is this process."""
    on: Literal["processes", "ray"] = "processes"
    """Where the rules run: processes of this machine, or Ray Data (needs ray)."""
    json: bool = False
    """Print one JSON object instead of tables."""


def main(argv: list[str]) -> int:
    """Filter and report. 0 when done; ValueError for wrong arguments, data or an unusable model."""
    given = tyro.cli(Arguments, args=argv, prog="tessera data filter", config=(tyro.conf.FlagCreatePairsOff,))
    config = read_config(given.config)
    load_prompts(config.prompts)  # a mistake there shows before anything runs
    specs = read_meta(given.manifest)
    refuse_overwriting(given.manifest, specs, given.out)
    workers = os.cpu_count() or 1 if given.workers is None else given.workers
    run = Run(open_filtered(specs, config), config, given.out, workers, given.on)
    decisions = read_choices(given, run)
    with progress_bars() as bars:
        existing = run.existing() if given.decisions is not None else None
        summary = existing or judge(run, bars)
        cleaned = write_clean(run, specs, decisions, bars) if decisions is not None else None
    page = write_review(run) if existing is None else None
    if given.json:
        print(json.dumps(as_json(summary, cleaned, page, run), ensure_ascii=False))
    else:
        show(summary, cleaned, page, run)
    return 0


def read_choices(given: Arguments, run: Run) -> Decisions | None:
    """The decisions to write by; None when nothing shall be written yet."""
    if given.decisions is not None:
        return read_decisions(given.decisions, run.stamp(), [(f.source.name, f.size) for f in run.sources])
    return {} if given.write else None


def judge(run: Run, bars: Bars) -> Summary:
    """Run the rules and the model that the config names."""
    if run.config.model is None:
        return run.execute(None, bars)
    with open_scorer(run.config.model) as scorer:
        return run.execute(scorer, bars)


@contextmanager
def open_scorer(config: JudgeModelConfig) -> Iterator[Scorer]:
    """The scorer that the config names; a checkpoint's engine is loaded only here."""
    if config.checkpoint is not None:
        from tessera.cli.data.local_scorer import LocalScorer

        yield LocalScorer(config)
        return
    key = None
    if config.key_variable is not None:
        key = os.environ.get(config.key_variable)
        if not key:
            raise ValueError(f"model.key_variable: the environment has no {config.key_variable}; set it")
    scorer = EndpointScorer(config, key)
    try:
        yield scorer
    finally:
        scorer.close()


def as_json(summary: Summary, cleaned: Cleaned | None, page: Path | None, run: Run) -> dict[str, Any]:
    """Counts and paths as plain values."""
    told = {
        **summary.as_dict(),
        "verdicts": str(run.out / VERDICT_FILE),
        "review": str(page) if page else None,
    }
    if cleaned is not None:
        told["clean"] = {
            "manifest": str(cleaned.manifest),
            "rejects": str(cleaned.rejects),
            "sources": {name: dict(counts) for name, counts in cleaned.sources.items()},
        }
    return told


def show(summary: Summary, cleaned: Cleaned | None, page: Path | None, run: Run) -> None:
    """A table of sources, one of rules, the model's bill, and what to do next."""
    console = Console()
    console.print(
        _table(
            "source",
            ("records", "text", "multimodal", "exempt", "keep", "borderline", "drop"),
            summary.sources,
        )
    )
    if summary.rules:
        console.print(
            _table("rule", ("borderline", "drop", "unreadable"), dict(sorted(summary.rules.items())))
        )
    if summary.domains:
        console.print("domains: " + ", ".join(f"{name} {n:,}" for name, n in summary.domains.most_common()))
    if summary.model:
        bill = summary.model
        console.print(
            f"model: {bill['asked']:,} answers ({bill['failed']:,} failed), "
            f"{bill['from_store']:,} known before, "
            f"{bill['prompt_tokens']:,} + {bill['answer_tokens']:,} tokens, cost {bill['cost']}",
            highlight=False,
        )
    _show_next(console, cleaned, page, run)


def _show_next(console: Console, cleaned: Cleaned | None, page: Path | None, run: Run) -> None:
    lines = [f"verdicts  {run.out / VERDICT_FILE}"]
    if page is not None:
        lines.append(f"review    {page}")
    if cleaned is not None:
        total = sum(cleaned.sources.values(), start=type(next(iter(cleaned.sources.values())))())
        lines.append(
            f"clean     {cleaned.manifest}: {total['kept']:,} kept, {total['rejected']:,} rejected, "
            f"{total['overruled']:,} overruled, {total['undecided']:,} borderline undecided"
        )
        lines.append(f"rejects   {cleaned.rejects}")
    else:
        lines.append("next      review, then give the download: --decisions decisions.json; or --write")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _table(head: str, columns: tuple[str, ...], rows: dict[str, Any]) -> Table:
    table = Table(head, *columns)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, counts in rows.items():
        table.add_row(name, *(f"{counts[column]:,}" for column in columns))
    return table
